"""Base-to-novel: train on a few clips of half of the classes, and test on both halves, each among its own labels.

What fine-tuning gains on the base classes and loses on the others is one number, the harmonic mean of both accuracies
(Zhou et al., 2022; for video, ViFi-CLIP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import harmonic_mean, mean, stdev
from typing import Any

from crossframe.data.manifest import Manifest, read_manifest, write_manifest
from crossframe.data.split import few_classes
from crossframe.evaluate.result import SUMMARY
from crossframe.evaluate.trials import Trial, run_trial
from crossframe.files import write_json
from crossframe.recipes.schema import FileData, Recipe
from crossframe.train.run import train
from crossframe.weights import load
from crossframe.weights.sources import LAST

SCORES = ("base", "novel", "harmonic_mean")


def base_to_novel(
    recipe: Recipe,
    init: str,
    data: str | Path,
    out: str | Path,
    *,
    draws: Sequence[int] = (0, 1, 2),
    watch: Callable[[int], None] = lambda draw: None,
) -> dict[str, Any]:
    """Run all draws, which choose the base classes and the recipe's `data.shots` clips of each, and write
    `base_to_novel.json` to the folder `out`. A draw that has finished is not repeated.

    Raises ValueError where the list has no split for testing or fewer than four classes, and for a recipe of drawn
    clips.
    """
    out = Path(out)
    if not isinstance(recipe.data, FileData):
        raise ValueError(f"recipe '{recipe.name}' draws its clips; choose one for clips in files, such as finetune")
    everything = read_manifest(data, None, recipe.data.labels, recipe.data.root)
    parts = {clip.split for clip in everything.clips}
    test = next((name for name in ("test", "val") if name in parts), None)
    if "train" not in parts or test is None:
        raise ValueError(f"{data} needs clips of the splits train and test; see crossframe data hold-out")
    if len(everything.labels) < 4:
        raise ValueError(f"{data} has {len(everything.labels)} classes, and half of them must be two or more")
    runs: list[dict[str, float]] = []
    for draw in draws:
        watch(draw)
        base = few_classes(everything.labels, len(everything.labels) // 2, draw)
        novel = [label for label in everything.labels if label not in base]
        folder = out / f"draw-{draw}"
        weights = _trained(recipe, init, everything, base, draw, folder)
        scores = {
            name: _top1(recipe, weights, _part(everything, labels, test), folder / name)
            for name, labels in (("base", base), ("novel", novel))
        }
        before = {
            f"{name}_before": _top1(recipe, init, _part(everything, labels, test), folder / f"{name}-before")
            for name, labels in (("base", base), ("novel", novel))
        }
        runs.append({**scores, "harmonic_mean": harmonic_mean(scores.values()), **before})
    found = {
        "draws": [{"draw": draw, **run} for draw, run in zip(draws, runs, strict=True)],
        "mean": {name: mean(run[name] for run in runs) for name in runs[0]},
        "deviation": {name: stdev(run[name] for run in runs) if len(runs) > 1 else 0.0 for name in runs[0]},
        "made_with": {"recipe": recipe.name, "init": init, "data": str(data), "shots": recipe.data.shots},
    }
    write_json(out / "base_to_novel.json", found)
    return found


def _part(everything: Manifest, labels: Sequence[str], split: str) -> Manifest:
    """The clips of some classes in a split, which are the only candidates."""
    clips = tuple(clip for clip in everything.clips if clip.split == split and clip.label in labels)
    return Manifest(clips, tuple(labels), everything.root)


def _trained(recipe: Recipe, init: str, everything: Manifest, base: Sequence[str], draw: int, folder: Path) -> str:
    """The weights after training on the base classes alone."""
    run = folder / "trained"
    if not (run / SUMMARY).is_file():
        listed = folder / "base.csv"
        write_manifest(_part(everything, base, "train"), listed)
        if not isinstance(recipe.data, FileData):
            raise TypeError("the recipe is of clips in files")
        own = replace(recipe.data, draw=draw, hold_out=0.0, test_split="none", root=None, labels=None, classes=None)
        seeded = replace(recipe, data=own, train=replace(recipe.train, seed=draw))
        train(seeded, run, init=init, data=listed, resume=(run / LAST).is_dir())
    return str(run / LAST)


def _top1(recipe: Recipe, weights: str, manifest: Manifest, out: Path) -> float:
    evaluation = run_trial(load(weights), Trial(weights, "test", str(manifest.root), manifest), recipe)
    evaluation.save(out)
    return evaluation.counts.top1
