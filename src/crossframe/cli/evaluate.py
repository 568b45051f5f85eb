"""`crossframe evaluate`: models on the test clips of a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.shared import alarm, limit_entries, list_entries, screen
from crossframe.pace import counted, told
from crossframe.text.labels import escaped

if TYPE_CHECKING:
    import torch

    from crossframe.data.batch import Batch
    from crossframe.data.loader import EvalLoader
    from crossframe.evaluate.events import EventsEvaluation
    from crossframe.evaluate.probes import Probe
    from crossframe.evaluate.result import Evaluation
    from crossframe.evaluate.trials import Trial
    from crossframe.model.xclip import XCLIP
    from crossframe.recipes.schema import Recipe

SHOWN = 3  # files that could not be read

CandidatesOption = Annotated[
    str | None, Option(help="A list of clips or labels: the only candidates; clips of other labels are unknown.")
]
ProbeOption = Annotated[
    str | None, Option(help="Take time away too: shuffle, reverse, one-frame, with commas between.")
]
BlendOption = Annotated[
    float | None,
    Option(min=0, max=1, help="Average with the weights that training started from: 0 is those, 1 the model."),
]
ExactOption = Annotated[  # there is no `auto`, because a number should not depend on the machine
    Literal["float32", "bfloat16"] | None, Option(help="Of the image encoder: float32, if not given.")
]
RecipeArgument = Annotated[
    str, Argument(help="A run, or a checkpoint in one; or a recipe by name (see crossframe recipes).")
]
ModelsOption = Annotated[
    list[str] | None, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'; repeat it.")
]
OutOption = Annotated[
    Path | None, Option(help="The folder for summary.json, predictions.parquet and report.html; a run has its own.")
]
TimelineOption = Annotated[
    bool, Option("--timeline", help="Clips are events of longer videos: how well is told when they happen?")
]
LabelsTooOption = Annotated[
    list[str] | None, Option(help="A list of clips or labels whose labels are candidates too; repeat it.")
]


def evaluate(
    recipe: RecipeArgument,
    model: ModelsOption = None,
    out: OutOption = None,
    data: Annotated[list[str] | None, Option(help="A list of clips, or a folder for each class; repeat it.")] = None,
    lists: Annotated[Path | None, Option(help="A file with a list of clips on each line, for all of --data.")] = None,
    split: Annotated[list[str] | None, Option(help="Which clips: test, if not given, or all; repeat it.")] = None,
    views: Annotated[int | None, Option(min=1, help="Views in time, whose probabilities are averaged.")] = None,
    crops: Annotated[int | None, Option(help="Views in space: 1, the center, or 3.")] = None,
    precision: ExactOption = None,
    labels_too: LabelsTooOption = None,
    candidates: CandidatesOption = None,
    background: options.Background = None,
    probe: ProbeOption = None,
    timeline: TimelineOption = False,
    window: options.Window = None,
    stride: options.Stride = None,
    multi: options.Multi = False,
    videos: Annotated[int | None, Option(min=1, help="How many clips of Shapes are drawn: 1100, if not given.")] = None,
    seed: Annotated[int | None, Option(min=0, help="Which clips of Shapes are drawn.")] = None,
    blend: BlendOption = None,
    labels: options.ClassNames = None,
    root: options.Root = None,
    timeout: options.FileSeconds = None,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    contained: options.Contained = False,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry of the recipe; repeat it.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the evaluation that --out holds.")] = False,
) -> None:
    """Measure models on clips, as a recipe's section 'test' says, and write the numbers and a page about them.

    With several models, lists or splits, each is measured on each, and the summary has mean and deviation.
    Options are short for --set test.views=4 and so on. Under torchrun, the processes share the clips.
    """
    from crossframe.cli.localization import check_for_events
    from crossframe.distributed import joined
    from crossframe.evaluate.probes import read_probes
    from crossframe.recipes.load import RECIPE, load_recipe

    probes = read_probes(probe) if probe else ()
    if Path(recipe).is_dir():
        checkpoint = _checkpoint(Path(recipe))
        recipe, model, out = str(checkpoint / RECIPE), model or [str(checkpoint)], out or _free_folder(checkpoint)
    if not model or out is None:
        raise _lacking(recipe)
    flags = {"splits": split, "views": views, "crops": crops, "precision": precision, "labels_too": labels_too}
    flags |= {"candidates": candidates, "background": background, "window": window, "stride": stride}
    flags |= {"timeline": timeline or None, "multi": multi or None}
    asked = [f"test.{name}={json.dumps(value)}" for name, value in flags.items() if value is not None]
    asked += [*list_entries(labels, root), *limit_entries(timeout, memory, most_frames, contained=contained)]
    chosen = load_recipe(recipe, [*(changes or ()), *asked])
    check_for_events(chosen, asked, probes=bool(probes))
    _check_free(out, overwrite=overwrite)
    given = tuple(change.partition("=")[0].strip() for change in changes or ())
    with joined() as writes:
        sources = [*(data or ()), *(_lists(lists) if lists else ())]
        trials = _trials(chosen, model, sources, drawn=videos is not None or seed is not None)
        _write(Measuring(chosen, (videos or 1100, seed or 0), blend, given, probes), trials, out, writes=writes)


def _lacking(recipe: str) -> Exception:
    """The error where there is no model or no folder for the result, for want of a run or of options."""
    if Path(recipe).name != recipe and not Path(recipe).exists():
        return ValueError(f"{recipe} does not exist; give the folder of a run, or the name of a recipe")
    return typer.BadParameter("give a recipe's name both, or a run's folder neither", param_hint="--model and --out")


def _lists(file: Path) -> list[str]:
    """The lists that a file names, relative to its folder: the data sets of a cross-dataset test."""
    from crossframe.text.reading import read_lines

    found = [str(file.parent / line) for _, line in read_lines(file)]
    if not found:
        raise ValueError(f"{file} names no lists; write the path of one on each line")
    if absent := next((path for path in found if not Path(path).exists()), None):
        raise ValueError(f"{file}: {absent} does not exist; correct the path")
    return found


def _check_free(out: Path, *, overwrite: bool) -> None:
    from crossframe.data.parquet import pyarrow
    from crossframe.evaluate.result import SUMMARY
    from crossframe.weights.sources import LAST

    pyarrow()  # without it, nothing could be saved in the end
    if (out / LAST).is_dir():
        raise ValueError(f"{out} holds a training run; choose another folder for its evaluation")
    if (out / SUMMARY).is_file() and not overwrite:
        raise ValueError(f"{out} holds an evaluation already; give another folder, or --overwrite to replace it")


def _write(measuring: Measuring, trials: Sequence[Trial], out: Path, *, writes: bool) -> None:
    """Measure all trials, in every process; write and print what they give in the one that `writes`."""
    from crossframe.distributed import this_process
    from crossframe.evaluate.evaluate import NO_NUMBERS
    from crossframe.evaluate.report import write_report
    from crossframe.evaluate.result import ENVIRONMENT, environment
    from crossframe.evaluate.trials import name_trials
    from crossframe.files import check_writable, write_json, write_text
    from crossframe.recipes.load import RECIPE, dump_recipe
    from crossframe.weights.sources import check_source

    if writes:
        check_writable(out)
    for trial in trials:
        check_source(trial.model)  # or the last of many would be missed after hours
    found: dict[str, tuple[Trial, dict[str, Any]]] = {}
    for name, trial in zip(name_trials(trials), trials, strict=True):
        evaluation, device = measuring.result(trial, name if writes else None)
        if writes:
            evaluation.save(out / name)
            write_json(out / ENVIRONMENT, environment(device, this_process()[1]))
            found[name] = (trial, evaluation.summary())
    if writes:
        write_text(out / RECIPE, dump_recipe(measuring.recipe))
        _print_scores(found, out)
        print(write_report(out))
        failures = [failure for _, summary in found.values() for failure in summary["failures"]]
        if any(failure["reason"].endswith(NO_NUMBERS) for failure in failures):
            raise typer.Exit(1)


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


def _checkpoint(folder: Path) -> Path:
    """A checkpoint with a recipe: the folder itself, or that in a run whose result counts."""
    from crossframe.recipes.load import RECIPE, load_recipe
    from crossframe.weights.folder import CONFIG
    from crossframe.weights.sources import BEST, LAST

    if not (folder / RECIPE).is_file():
        raise ValueError(f"{folder} holds no {RECIPE}; name a recipe: crossframe evaluate finetune --model {folder}")
    if (folder / CONFIG).is_file():
        return folder
    chosen = (folder / BEST).is_dir() and not load_recipe(folder / RECIPE).measured_where_chosen
    return folder / (BEST if chosen else LAST)


def _free_folder(checkpoint: Path) -> Path:
    """A folder for the evaluation, beside the checkpoint, in which there is none yet."""
    place, number = checkpoint.with_name(f"{checkpoint.name}-test"), 1
    while place.exists():
        number += 1
        place = checkpoint.with_name(f"{checkpoint.name}-test-{number}")
    return place


@dataclass(frozen=True, slots=True)
class Measuring:
    """How trials are measured: by a recipe, of which entries were `given` by hand.

    `drawn`: how many clips of Shapes, and their seed. `blend`: the share of the model in an average with the weights
    that it came from. `probes`: what is measured once more without time (`evaluate.probes`).
    """

    recipe: Recipe
    drawn: tuple[int, int]
    blend: float | None
    given: tuple[str, ...]
    probes: tuple[Probe, ...] = ()

    def result(self, trial: Trial, name: str | None) -> tuple[Evaluation | EventsEvaluation, torch.device]:
        """The result of one trial, with what it was made with, and the device that computed it. `name`: of a bar."""
        from crossframe.evaluate.result import Evaluation
        from crossframe.evaluate.trials import training_of
        from crossframe.weights import load

        model, origin = load(trial.model), None
        if self.blend is not None:
            model, origin = self._blended(trial.model, model, self.blend)
        if self.recipe.test.timeline:
            from crossframe.cli.localization import tell_events

            evaluation = tell_events(model, trial, self.recipe, self.given, name)
        else:
            evaluation = self._evaluate(trial, model, name)
        if self.probes and isinstance(evaluation, Evaluation):
            found = {probe: self._probed(trial, model, name, probe) for probe in self.probes}
            evaluation = replace(evaluation, probes=found)
        what = {"recipe": self.recipe.name, "model": trial.model, "training": training_of(trial.model)}
        what |= {} if origin is None else {"blend": self.blend, "blended_with": origin}
        return replace(evaluation, made_with={**what, **evaluation.made_with}), model.device

    def _blended(self, source: str, model: XCLIP, weight: float) -> tuple[XCLIP, str]:
        """The average with the weights that the model's own training started from, and what these are."""
        from crossframe.evaluate.trials import training_of
        from crossframe.weights import WeightsError, load
        from crossframe.weights.blending import blend
        from crossframe.weights.saving import fingerprint

        told = "init" in self.given
        training = training_of(source) or {}
        origin = self.recipe.init if told else model.taught.init or training.get("init") or self.recipe.init
        if origin is None:
            raise ValueError(
                "the recipe names no weights to blend with; give those that training started from: --set init="
            )
        try:
            pretrained = load(origin)
        except WeightsError as error:
            raise ValueError(f"{error}; name where the weights that training started from are: --set init=") from error
        known = model.taught.init_weights
        if known and fingerprint(pretrained) != known:
            raise ValueError(
                f"{origin} holds other weights than those that {source} was trained from; name where these are: "
                "--set init="
            )
        return blend(model, pretrained, weight), origin

    def _probed(self, trial: Trial, model: XCLIP, name: str | None, probe: Probe) -> Evaluation:
        from crossframe.evaluate.probes import probed

        with probed(model, probe):
            return self._evaluate(trial, model, None if name is None else f"{name} {probe}".strip())

    def _evaluate(self, trial: Trial, model: XCLIP, name: str | None) -> Evaluation:
        from crossframe.cli.shared import progress
        from crossframe.evaluate.shapes import evaluate_shapes
        from crossframe.evaluate.trials import run_trial
        from crossframe.recipes.schema import ClipData

        videos, seed = self.drawn
        with progress(shown=name is not None) as bar:
            task = bar.add_task(name or "clips", total=None)

            def show(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if isinstance(self.recipe.data, ClipData):
                nuisance = self.recipe.data.nuisance
                return evaluate_shapes(
                    model, trial.split, videos, seed=seed, nuisance=nuisance, progress=lambda clips: show(clips, videos)
                )
            return run_trial(model, trial, self.recipe, lambda loader: _watched(loader, show), self.given)


def _watched(loader: EvalLoader, show: Callable[[int, int], None]) -> Iterator[Batch]:
    for number, batch in enumerate(told(loader, "batches", len(loader))):
        show(number, len(loader))
        yield batch


def _print_scores(found: Mapping[str, tuple[Trial, dict[str, Any]]], out: Path) -> None:
    """Scores on standard output; videos that could not be read on standard error."""
    from crossframe.evaluate.trained import warning_of
    from crossframe.evaluate.trials import save_overview, scores

    for name, (_, summary) in found.items():
        _warn_of_files(summary)
        if line := warning_of(summary):
            alarm(f"{name}: {line}" if name else line)
    if len(found) == 1:
        ((_, summary),) = found.values()
        _print_one(summary)
    else:
        together = save_overview(found, out)
        print("\n".join(_table({name: scores(summary) for name, (_, summary) in found.items()}, together)))
    print(out / "summary.json")


def _print_one(summary: Mapping[str, Any]) -> None:
    from crossframe.cli.localization import localization_table
    from crossframe.evaluate.result import show_score
    from crossframe.evaluate.trials import scores

    over = f" over {counted(summary['recordings'], 'recording')}" if summary.get("recordings") else ""
    if "events" in summary:
        screen().print(localization_table(summary), "", soft_wrap=True)
        over = f" over {counted(summary['videos'], 'video')}"
    for name, value in scores(summary).items():
        if name == "top5" and summary["classes"] <= 5:  # always right, as far as clips can be read
            continue
        low, high = summary.get(f"{name}_interval", (None, None))
        interval = "" if low is None else f"  (95% interval{over}: {low:.1%} to {high:.1%})"
        print(f"{name:<10} {show_score(name, value)}{interval}")
    for name, part in summary.get("probes", {}).items():
        low, high = part["drop_interval"]
        change, least, most = (f"{-100 * value:+z.1f}" for value in (part["drop"], high, low))  # z: no -0.0
        print(f"{name:<10} {part['top1']:.1%}  {change} points (95% interval: {least} to {most})")


def _table(rows: Mapping[str, Mapping[str, float]], together: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """A line for each trial, then their mean and deviation."""
    from crossframe.evaluate.result import show_score

    width = max(map(len, [*rows, "deviation"]))
    lines = {**rows, "mean": together["mean"], "deviation": together["deviation"]}
    yield "  ".join([" " * width, *(f"{name:>10}" for name in together["mean"])])
    for name, values in lines.items():
        yield "  ".join([f"{name:<{width}}", *(f"{show_score(key, values[key]):>10}" for key in together["mean"])])


def _warn_of_files(summary: Mapping[str, Any]) -> None:
    failures, damaged = summary["failures"], summary["damaged"]
    for failure in failures[:SHOWN]:
        typer.echo(f"crossframe: counts as wrong: {escaped(failure['reason'])}", err=True)
    if len(failures) > SHOWN:
        typer.echo(f"crossframe: and {len(failures) - SHOWN} more; summary.json lists them", err=True)
    if damaged:
        more = f" and {len(damaged) - 1} more have" if damaged[1:] else " has"
        line = f"{escaped(damaged[0])}{more} frames that are missing or were repaired; summary.json lists all"
        typer.echo(f"crossframe: {line}", err=True)
