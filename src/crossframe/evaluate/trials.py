"""How a trained model is measured: on which clips, among which labels, in how many views, and how often.

The protocol itself is data: a recipe's section `test`. Where the paper gives a mean and a deviation (zero-shot on the
three splits of UCF-101 and HMDB-51 or on three draws from Kinetics-600, few-shot on several draws), an evaluation has
several trials: every model on every split of every list of clips.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from crossframe.data.batch import Batch
from crossframe.data.layouts import read_candidates, split_named
from crossframe.data.loader import EvalLoader
from crossframe.data.manifest import Manifest, no_split, read_manifest
from crossframe.data.reader import Sampling
from crossframe.evaluate.evaluate import Setting, evaluate_manifest, scoring_of
from crossframe.evaluate.result import PREDICTIONS, SUMMARY, Evaluation
from crossframe.evaluate.trained import clips_for, data_as_taught, words_for
from crossframe.files import write_json
from crossframe.inference import check_head, evaluating, label_features
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import RECIPE, RecipeError, load_recipe
from crossframe.recipes.schema import FileData, Recipe, Test
from crossframe.shapes.splits import parse
from crossframe.text.labels import background_texts
from crossframe.video.given import limited
from crossframe.weights.sources import BEST, LAST

log = logging.getLogger(__name__)

ALL = "all"  # as a split: every clip


@dataclass(frozen=True, slots=True)
class Trial:
    """One of several evaluations: the weights `model` on a `split` of the list `data`, None for generated clips."""

    model: str
    split: str
    data: str | None = None
    manifest: Manifest | None = None


def drawn_trials(models: Sequence[str], test: Test) -> list[Trial]:
    """Every model on every split of Shapes."""
    return [Trial(model, str(parse(split))) for model in models for split in test.splits or ("test",)]


def read_trials(models: Sequence[str], sources: Sequence[str], data: FileData, test: Test) -> list[Trial]:
    """Every model on every split of every list, by default of the recipe's own list. Nothing is decoded.

    Raises ValueError, in one line, where a list cannot be used or has no such split.
    """
    sources = sources or ([data.source] if data.source else [])
    if not sources:
        raise ValueError("this recipe needs clips: give a manifest or a folder with --data")
    more = [label for source in test.labels_too for label in read_candidates(Path(source))]
    parts = [(source, split, found.among(more)) for source in sources for split, found in _read(source, data, test)]
    if test.candidates is not None:
        only = read_candidates(Path(test.candidates))
        parts = [(source, split, found.only(only)) for source, split, found in parts]
    return [Trial(model, split, source, manifest) for model in models for source, split, manifest in parts]


def _read(source: str, data: FileData, test: Test) -> Iterator[tuple[str, Manifest]]:
    everything = read_manifest(source, None, data.labels, data.root, contained=data.contained, events=test.timeline)
    splits = {clip.split for clip in everything.clips}
    if not test.splits and splits == {""}:
        yield "", everything
        return
    usual = "test"
    if not test.splits and "test" not in splits and "val" in splits:
        usual = "val"
        log.warning("%s has no split 'test'; measured on 'val'", source)
    for split in test.splits or (usual,):
        if split == ALL and ALL not in splits:
            yield ALL, everything
        elif split_named(split) not in splits:
            undivided = "; --split all takes all of its clips" if splits == {""} else ""
            raise ValueError(f"{no_split(source, split, splits, 'choose one with --split')}{undivided}")
        else:
            yield split, everything.of_split(split, everything.labels)


def run_trial(
    model: XCLIP,
    trial: Trial,
    recipe: Recipe,
    watch: Callable[[EvalLoader], Iterable[Batch]] = iter,
    given: Collection[str] = (),
) -> Evaluation:
    """Evaluate a model on a trial by the recipe's protocol; `watch` may wrap the batches in a progress bar.

    Where entries of `data` are not `given`, template and sampling are those of the model's training.
    """
    data, test, manifest = recipe.data, recipe.test, trial.manifest
    if not isinstance(data, FileData) or manifest is None:
        raise ValueError(f"recipe '{recipe.name}' draws its clips, and the trial is of clips in files")
    data = data_as_taught(model, data, given)
    clips = clips_for(model, manifest, chosen=bool(trial.split))
    check_head(model, clips.manifest.labels)
    words, described = words_for(model, clips.manifest.labels, data)
    sampling = Sampling(model.config.num_frames, data.sampling, test.views, test.random_views)
    setting = Setting(sampling, test.crops, test.precision, background=background_texts(test.background))
    scoring = scoring_of(model, clips.manifest.labels, setting, several=clips.manifest.several)
    with evaluating(model):
        text = label_features(model, [*words, *scoring.labels.background])
    with limited(data.limits):
        evaluation = evaluate_manifest(
            model,
            clips.manifest,
            setting,
            text=text,
            made_with={
                "list": trial.data,
                "template": data.template,
                "descriptions": described,
                "labels_too": list(test.labels_too),
                **({"candidates": test.candidates} if test.candidates else {}),
                **({"left_out": clips.left_out} if clips.left_out else {}),
            },
            workers=recipe.train.workers,
            watch=watch,
        )
    return replace(evaluation, trained_on=clips.trained_on)


def training_of(model: str) -> dict[str, Any] | None:
    """The training that the weights `model` come from, by their checkpoint's recipe; None where there is none.

    `shots` clips of each class were drawn with the seed `draw`; `seed` is that of everything else.
    """
    try:
        recipe = load_recipe(Path(model) / RECIPE)
    except RecipeError:  # there is none, or one of another version
        return None
    data = recipe.data
    clips = {"data": data.source, "shots": data.shots, "draw": data.draw} if isinstance(data, FileData) else {}
    return {
        "recipe": recipe.name,
        "init": recipe.init,
        **clips,
        "epochs": recipe.train.epochs,
        "seed": recipe.train.seed,
    }


def name_trials(trials: Sequence[Trial]) -> list[str]:
    """A name for each trial and its folder, from what tells it from the others; "" for a single one."""
    ways = [
        [_short(trial.model) for trial in trials],
        [_short(trial.data or "") for trial in trials],
        [trial.split for trial in trials],
    ]
    telling = [names for names in ways if len(set(names)) > 1]
    names = ["-".join(filter(None, parts)) for parts in zip(*telling, strict=True)] or [""] * len(trials)
    if len(set(names)) < len(trials):
        return [f"trial-{number}" for number in range(1, len(trials) + 1)]
    return names


def _short(path: str) -> str:
    """`runs/a/last` is a, `lists/ucf-1.csv` is ucf-1."""
    whole = Path(path)
    return whole.parent.name if whole.name in (LAST, BEST) else whole.stem


def scores(summary: Mapping[str, Any]) -> dict[str, float]:
    """The accuracies of a summary."""
    return {name: value for name, value in summary.items() if isinstance(value, float)}


def overview(trials: Mapping[str, tuple[Trial, Mapping[str, Any]]]) -> dict[str, Any]:
    """The summary of several trials, by name: mean and sample standard deviation of every score."""
    found = [scores(summary) for _, summary in trials.values()]
    names = [name for name in found[0] if all(name in values for values in found)]  # of open sets, some have more
    return {
        "mean": {name: mean(values[name] for values in found) for name in names},
        "deviation": {name: stdev(values[name] for values in found) for name in names},
        "trials": [
            {
                **{"folder": name, "model": trial.model, "data": trial.data, "split": trial.split},
                **{key: summary[key] for key in ("videos", "unreadable", "classes", "events") if key in summary},
                "trained_on": summary.get("trained_on"),
                **scores(summary),
                "made_with": summary["made_with"],
            }
            for name, (trial, summary) in trials.items()
        ],
    }


def save_overview(trials: Mapping[str, tuple[Trial, Mapping[str, Any]]], folder: Path) -> dict[str, Any]:
    """Write the overview in place of a single summary, and return it."""
    (folder / PREDICTIONS).unlink(missing_ok=True)  # of an earlier, single trial, which the new summary does not mean
    found = overview(trials)
    write_json(folder / SUMMARY, found)
    return found
