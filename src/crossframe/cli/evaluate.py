"""`crossframe evaluate`: a model on the test clips of a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

if TYPE_CHECKING:
    from crossframe.evaluate.result import Evaluation
    from crossframe.model.xclip import XCLIP
    from crossframe.recipes.schema import ClipData, FileData


def evaluate(
    recipe: Annotated[str, Argument(help="A recipe by name (see crossframe recipes), or a .yaml file.")],
    model: Annotated[str, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'.")],
    out: Annotated[Path, Option(help="The folder for summary.json, predictions.parquet and report.html.")],
    data: Annotated[str | None, Option(help="A manifest, or a folder with a folder of clips for each class.")] = None,
    split: Annotated[str, Option(help="Which clips; of Shapes also unseen, zero_shot and few_shot_test.")] = "test",
    videos: Annotated[int, Option(min=1, help="How many clips of Shapes are drawn.")] = 1100,
    seed: Annotated[int, Option(min=0, help="Which clips of Shapes are drawn.")] = 0,
    blend: Annotated[
        float | None, Option(help="Average with the weights that the recipe starts from: 0 is those, 1 the model.")
    ] = None,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry of the recipe; repeat it.")] = None,
) -> None:
    """Measure a model on clips that a recipe tests on, in float32, and write the numbers and a page about them."""
    from crossframe.evaluate.report import write_report
    from crossframe.recipes.load import load_recipe
    from crossframe.recipes.schema import ClipData, FileData

    chosen = load_recipe(recipe, changes or ())
    match chosen.data:
        case ClipData():
            evaluation = _on_shapes(_load(model, blend, chosen.init), chosen.data, split, videos, seed)
        case FileData():
            evaluation = _on_files(_load(model, blend, chosen.init), chosen.data, data, split)
        case _:
            raise ValueError(f"recipe '{recipe}' trains on single frames and has no test clips; evaluate with 'shapes'")
    what = {"recipe": chosen.name, "model": model} | ({} if blend is None else {"blend": blend})
    evaluation = replace(evaluation, made_with={**what, **evaluation.made_with})
    evaluation.save(out)
    for name, value in _scores(evaluation.summary()).items():
        print(f"{name:<10} {value:.1%}")
    print(out / "summary.json")
    print(write_report(out))


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


def _on_shapes(model: XCLIP, data: ClipData, split: str, videos: int, seed: int) -> Evaluation:
    from rich.console import Console
    from rich.progress import Progress

    from crossframe.evaluate.shapes import ask

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("clips", total=videos)
        return ask(
            model, split, videos, seed=seed, nuisance=data.nuisance, done=lambda n: bar.update(task, completed=n)
        )


def _on_files(model: XCLIP, data: FileData, source: str | None, split: str) -> Evaluation:
    from rich.console import Console
    from rich.progress import track

    from crossframe.data.manifest import read_manifest
    from crossframe.data.sampling import Sampling
    from crossframe.evaluate.run import Setting, evaluate_manifest
    from crossframe.evaluate.scoring import evaluating, label_features
    from crossframe.text.descriptions import read_descriptions
    from crossframe.text.templates import wordings

    where = source or data.source
    if where is None:
        raise ValueError("this recipe needs clips: give a manifest or a folder with --data")
    everything = read_manifest(where, None, data.labels, data.root)
    split_or_all = None if {clip.split for clip in everything.clips} == {""} else split
    manifest = read_manifest(where, split_or_all, everything.labels, data.root)
    descriptions = None if data.descriptions is None else read_descriptions(data.descriptions)
    with evaluating(model):
        text = label_features(model, wordings(manifest.labels, data.template, descriptions))
    console = Console(stderr=True)
    return evaluate_manifest(
        model,
        manifest,
        Setting(Sampling(model.config.num_frames, data.sampling)),
        text=text,
        made_with={"template": data.template, "descriptions": data.descriptions},
        workers=1,
        watch=lambda loader: track(loader, "batches", len(loader), console=console, transient=True),
    )


def _scores(summary: dict[str, Any]) -> dict[str, float]:
    """The accuracies of a summary."""
    return {name: value for name, value in summary.items() if isinstance(value, float)}
