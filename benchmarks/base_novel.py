"""Base-to-novel on Shapes: the bundled model learns half of the actions that its training never showed.

    python -m benchmarks.base_novel --save     # then python -m benchmarks.tables

It is `crossframe base-to-novel` in three draws on rendered clips, a few of each action and a few epochs.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from benchmarks.harness import Options, Result, run
from crossframe.recipes.load import load_recipe
from crossframe.shapes.splits import Split, split_actions
from crossframe.shapes.write import render_dataset
from crossframe.train.base_novel import SCORES, base_to_novel

NEW = split_actions(Split.FEW_SHOT_TRAIN)
SHOTS = 2
TEST_CLIPS = 6  # of each action
EPOCHS = 8
CHANGES = (
    f"data.shots={SHOTS}",
    "data.template=something {}",
    "train.workers=0",
    "train.precision=float32",
)


def measure(options: Options) -> Result:
    epochs, test_clips = (1, 1) if options.tiny else (EPOCHS, TEST_CLIPS)
    recipe = load_recipe("finetune", (*CHANGES, f"train.epochs={epochs}"))
    with tempfile.TemporaryDirectory() as folder:
        listed = write_list(Path(folder), test_clips)
        draws = (0,) if options.tiny else (0, 1, 2)
        found = base_to_novel(recipe, "shapes", listed, Path(folder) / "runs", draws=draws)
    rows = [
        {
            "classes": name.replace("_", " "),
            "before": found["mean"].get(f"{name}_before"),
            "after": found["mean"][name],
            "after ±": found["deviation"][name],
            "draws": [draw[name] for draw in found["draws"]],
        }
        for name in SCORES
    ]
    note = f"{len(NEW)} actions, {SHOTS} clips of each to train on, {test_clips} to test on, {epochs} epochs"
    return Result([], rows, [note])


def write_list(folder: Path, test_clips: int) -> Path:
    """A list of rendered clips of the new actions with the splits train and test."""
    rows: list[tuple[str, str, str]] = []
    for split, name, each in ((Split.FEW_SHOT_TRAIN, "train", SHOTS), (Split.FEW_SHOT_TEST, "test", test_clips)):
        manifest = render_dataset(folder, split, each * len(NEW), 0, workers=1)
        with manifest.open(encoding="utf-8", newline="") as file:
            rows += [(row["path"], row["action"], name) for row in csv.DictReader(file) if row["split"] == split]
    listed = folder / "new.csv"
    with listed.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return listed


def main() -> None:
    run("base_novel", measure)


if __name__ == "__main__":
    main()
