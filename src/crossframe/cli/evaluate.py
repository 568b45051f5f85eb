"""`crossframe evaluate`: models on the test clips of a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

if TYPE_CHECKING:
    import torch

    from crossframe.data.batch import Batch
    from crossframe.data.loader import EvalLoader
    from crossframe.evaluate.result import Evaluation
    from crossframe.evaluate.trials import Trial
    from crossframe.model.xclip import XCLIP
    from crossframe.recipes.schema import Recipe

SHOWN = 3  # files that could not be read


def evaluate(
    recipe: Annotated[str, Argument(help="A recipe by name (see crossframe recipes), or a .yaml file.")],
    model: Annotated[list[str], Option(help="A hub id, a folder, a checkpoint file, or 'shapes'; repeat it.")],
    out: Annotated[Path, Option(help="The folder for summary.json, predictions.parquet and report.html.")],
    data: Annotated[list[str] | None, Option(help="A list of clips, or a folder for each class; repeat it.")] = None,
    split: Annotated[list[str] | None, Option(help="Which clips: test, if not given; repeat it.")] = None,
    views: Annotated[int | None, Option(min=1, help="Views in time, whose probabilities are averaged.")] = None,
    crops: Annotated[int | None, Option(help="Views in space: 1, the center, or 3.")] = None,
    # there is no `auto`, because a number should not depend on the machine
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, Option(help="Of the image encoder: float32, if not given.")
    ] = None,
    labels_too: Annotated[
        list[str] | None, Option(help="A list of clips or labels whose labels are candidates too; repeat it.")
    ] = None,
    videos: Annotated[int | None, Option(min=1, help="How many clips of Shapes are drawn: 1100, if not given.")] = None,
    seed: Annotated[int | None, Option(min=0, help="Which clips of Shapes are drawn.")] = None,
    blend: Annotated[
        float | None,
        Option(min=0, max=1, help="Average with the weights that the recipe starts from: 0 is those, 1 the model."),
    ] = None,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry of the recipe; repeat it.")] = None,
) -> None:
    """Measure models on clips, as a recipe's section 'test' says, and write the numbers and a page about them.

    With several models, lists or splits, each is measured on each, and the summary has mean and deviation.
    Options are short for --set test.views=4 and so on. Under torchrun, the processes share the clips.
    """
    from crossframe.data.parquet import pyarrow
    from crossframe.distributed import joined, this_process
    from crossframe.evaluate.report import write_report
    from crossframe.evaluate.result import ENVIRONMENT, environment
    from crossframe.evaluate.trials import name_trials
    from crossframe.files import check_writable, write_json, write_text
    from crossframe.recipes.load import RECIPE, dump_recipe, load_recipe
    from crossframe.weights.folder import LAST
    from crossframe.weights.loading import check_source

    flags = {"splits": split, "views": views, "crops": crops, "precision": precision, "labels_too": labels_too}
    asked = [f"test.{name}={json.dumps(value)}" for name, value in flags.items() if value is not None]
    chosen = load_recipe(recipe, [*(changes or ()), *asked])
    if (out / LAST).is_dir():
        raise ValueError(f"{out} holds a training run; choose another folder for its evaluation")
    pyarrow()  # without it, nothing could be saved in the end
    with joined() as writes:
        trials = _trials(chosen, model, data or [], drawn=videos is not None or seed is not None)
        if writes:
            check_writable(out)
        for source in model:
            check_source(source)  # or the last of many would be missed after hours
        found: dict[str, tuple[Trial, dict[str, Any]]] = {}
        for name, trial in zip(name_trials(trials), trials, strict=True):
            evaluation, device = _measure(chosen, trial, (videos or 1100, seed or 0), blend, name if writes else None)
            if writes:
                evaluation.save(out / name)
                write_json(out / ENVIRONMENT, environment(device, this_process()[1]))
                found[name] = (trial, evaluation.summary())
        if writes:
            write_text(out / RECIPE, dump_recipe(chosen))
            _print_scores(found, out)
            print(write_report(out))


def _trials(recipe: Recipe, models: Sequence[str], data: Sequence[str], *, drawn: bool) -> list[Trial]:
    from crossframe.evaluate.trials import drawn_trials, read_trials
    from crossframe.recipes.schema import ClipData, FileData

    match recipe.data:
        case FileData():
            if drawn:
                raise ValueError(
                    "--videos and --seed choose drawn clips, and this recipe is about files; leave them out"
                )
            return read_trials(models, data, recipe.data, recipe.test)
        case ClipData():
            if data:
                raise ValueError(f"recipe '{recipe.name}' draws its own clips; leave out --data {data[0]}")
            return drawn_trials(models, recipe.test)
        case _:
            raise ValueError(
                f"recipe '{recipe.name}' trains on single frames and has no test clips; evaluate with 'shapes'"
            )


def _load(source: str, blend: float | None, init: str | None) -> XCLIP:
    from crossframe.weights import load
    from crossframe.weights.blending import blend as average

    if blend is None:
        return load(source)
    if init is None:
        raise ValueError(
            "the recipe names no weights to blend with; give those that training started from: --set init="
        )
    return average(load(source), load(init), blend)


def _measure(
    recipe: Recipe, trial: Trial, drawn: tuple[int, int], blend: float | None, name: str | None
) -> tuple[Evaluation, torch.device]:
    """The result of one trial, with what it was made with, and the device that computed it."""
    from crossframe.evaluate.trials import training_of

    model = _load(trial.model, blend, recipe.init)
    evaluation = _evaluate(recipe, trial, model, drawn, name)
    what = {"recipe": recipe.name, "model": trial.model, "training": training_of(trial.model)}
    what |= {} if blend is None else {"blend": blend}
    return replace(evaluation, made_with={**what, **evaluation.made_with}), model.device


def _evaluate(recipe: Recipe, trial: Trial, model: XCLIP, drawn: tuple[int, int], name: str | None) -> Evaluation:
    """The result of one trial. `drawn`: how many clips of Shapes, and their seed; `name`: that of a progress bar."""
    from crossframe.cli.shared import progress
    from crossframe.evaluate.shapes import evaluate_shapes
    from crossframe.evaluate.trials import run_trial
    from crossframe.recipes.schema import ClipData

    videos, seed = drawn
    with progress(shown=name is not None) as bar:
        task = bar.add_task(name or "clips", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if isinstance(recipe.data, ClipData):
            nuisance = recipe.data.nuisance
            return evaluate_shapes(
                model, trial.split, videos, seed=seed, nuisance=nuisance, progress=lambda clips: show(clips, videos)
            )
        return run_trial(model, trial, recipe, watch=lambda loader: _watched(loader, show))


def _watched(loader: EvalLoader, show: Callable[[int, int], None]) -> Iterator[Batch]:
    for number, batch in enumerate(loader):
        show(number, len(loader))
        yield batch


def _print_scores(found: Mapping[str, tuple[Trial, dict[str, Any]]], out: Path) -> None:
    """Scores on standard output; videos that could not be read on standard error."""
    from crossframe.evaluate.result import show_score
    from crossframe.evaluate.trials import save_overview, scores

    for _, summary in found.values():
        _warn_of_unreadable(summary)
    if len(found) == 1:
        ((_, summary),) = found.values()
        low, high = summary["top1_interval"]
        over = f" over {summary['recordings']} recordings" if summary["recordings"] else ""
        interval = f"  (95% interval{over}: {low:.1%} to {high:.1%})"
        for name, value in scores(summary).items():
            print(f"{name:<10} {show_score(name, value)}" + (interval if name == "top1" else ""))
    else:
        together = save_overview(found, out)
        print("\n".join(_table({name: scores(summary) for name, (_, summary) in found.items()}, together)))
    print(out / "summary.json")


def _table(rows: Mapping[str, Mapping[str, float]], together: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A line for each trial, then their mean and deviation."""
    from crossframe.evaluate.result import show_score

    width = max(map(len, [*rows, "deviation"]))
    lines = {**rows, "mean": together["mean"], "deviation": together["deviation"]}
    yield "  ".join([" " * width, *(f"{name:>10}" for name in together["mean"])])
    for name, values in lines.items():
        yield "  ".join([f"{name:<{width}}", *(f"{show_score(key, values[key]):>10}" for key in together["mean"])])


def _warn_of_unreadable(summary: Mapping[str, Any]) -> None:
    failures = summary["failures"]
    for failure in failures[:SHOWN]:
        typer.echo(f"crossframe: counts as wrong: {failure['reason']}", err=True)
    if len(failures) > SHOWN:
        typer.echo(f"crossframe: and {len(failures) - SHOWN} more; summary.json lists them", err=True)
