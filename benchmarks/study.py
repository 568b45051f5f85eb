"""What studies share: train variants of a recipe with several seeds, measure each on Shapes, and take means.

Every finished run is kept in its folder and not repeated, so a study that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from crossframe import load
from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.recipes.load import load_recipe
from crossframe.train.run import train

SPLITS = ("test", "unseen", "zero_shot")
CLIPS = 550  # of each split
KINDS = ("action", "opposite", "colour", "shape")

Scores = dict[str, float]  # by split and kind of question: "unseen action"


def trained(recipe: str, changes: Sequence[str], init: Path | str | None, out: Path, seed: int) -> Path:
    """The last weights of a run, which is started, gone on with, or found finished."""
    if not (out / "summary.json").is_file():
        settings = [*changes, f"train.seed={seed}", f"data.seed={seed}"]
        train(load_recipe(recipe, settings), out, init=init, resume=(out / "last").is_dir())
    return out / "last"


def measured(weights: Path, out: Path, clips: int = CLIPS) -> Scores:
    """Accuracies of these weights on unseen clips, by split and kind of question."""
    scores: Scores = {}
    for split in SPLITS:
        folder = out / split
        path = folder / "summary.json"
        if not path.is_file():
            evaluate_shapes(load(weights, device="cpu"), split, clips).save(folder)
        summary = json.loads(path.read_text())
        scores.update({f"{split} {kind}": summary[kind] for kind in KINDS})
    return scores


def report(runs: Mapping[str, Sequence[Scores]], columns: Sequence[str], **more: Any) -> None:
    """Print means and deviations over seeds as a Markdown table, and all of it as one line of JSON."""
    show(runs, columns)
    print(json.dumps({"runs": runs, **more}))


def show(runs: Mapping[str, Sequence[Scores]], columns: Sequence[str]) -> None:
    """Print means and deviations over the runs that have a score for a column, as a Markdown table."""
    print("| variant | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, seeds in runs.items():
        cells = (_cell([scores[column] for scores in seeds if column in scores]) for column in columns)
        print(f"| {name} | " + " | ".join(cells) + " |")


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread}".replace("0.", ".")
