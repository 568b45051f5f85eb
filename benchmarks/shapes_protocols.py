"""The paper's protocols on Shapes with the bundled model: known classes, new classes, a few clips of new classes.

    python -m benchmarks.shapes_protocols

Known (`test`) and new classes (`unseen`: known words in new combinations, `zero_shot`: two actions at once): the model
as it is, each clip among all actions that its object could do. Few clips: actions that training never showed or named,
K clips of each in three draws, trained by the recipe `finetune` from the bundled model, and tested on clips of their
own. Everything finished is kept in the folder --runs, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from crossframe import load
from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.evaluate.trials import read_trials, run_trial
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import FileData
from crossframe.shapes.splits import Split, split_actions
from crossframe.shapes.write import render_dataset
from crossframe.train.run import train
from crossframe.weights.saving import fingerprint

SHOTS = (2, 4, 8, 16)
DRAWS = (0, 1, 2)
ACTIONS = len(split_actions(Split.FEW_SHOT_TRAIN))
CHANGES = (
    "data.hold_out=0",  # every clip drawn is one of the K
    "data.template=something {}",
    "data.test_split=none",  # the last weights are tested, so that no test clip has a say in them
    "train.workers=0",
    "train.precision=float32",
    "train.epochs=20",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="shapes", help="the weights to start from and to test")
    parser.add_argument("--runs", type=Path, default=Path("runs/shapes-protocols"))
    parser.add_argument("--clips", type=int, default=1100, help="test clips of known and of new classes")
    parser.add_argument("--few-clips", type=int, default=240, help="test clips of the actions learned from a few")
    parser.add_argument("--shots", type=int, nargs="+", default=SHOTS)
    arguments = parser.parse_args()
    runs: Path = arguments.runs / fingerprint(load(arguments.model, device="cpu"))[:12]
    table: dict[str, list[float]] = {}
    for split in ("test", "unseen", "zero_shot"):
        table[split] = [_drawn(arguments.model, split, arguments.clips, runs)]
    for shots in (0, *arguments.shots):
        draws = DRAWS if shots else DRAWS[:1]
        table[f"K = {shots}"] = [_few(arguments.model, shots, draw, arguments.few_clips, runs) for draw in draws]
    _report(table, arguments)


def _drawn(model: str, split: str, clips: int, runs: Path) -> float:
    """Top-1 among actions on clips drawn in memory."""
    folder = runs / f"{split}-{clips}"
    if not (folder / "summary.json").is_file():
        evaluate_shapes(load(model, device="cpu"), split, clips).save(folder)
    return _top1(folder)


def _few(model: str, shots: int, draw: int, clips: int, runs: Path) -> float:
    """Top-1 among new actions after training on `shots` clips of each; none for the model as it is."""
    folder = runs / f"K-{shots}-draw-{draw}"
    weights = taught(model, shots, draw, runs.parent, folder / "trained") if shots else model
    return top1_of_new(weights, clips, runs.parent, folder / "test")


def taught(model: str, shots: int, draw: int, drawn: Path, out: Path, changes: Sequence[str] = ()) -> str:
    """The weights after training on `shots` clips of each new action, of which `draw` is the seed.

    Clips are rendered into the folder `drawn`; `changes` are switches of the recipe `finetune`.
    """
    if not (out / "summary.json").is_file():
        clips = _listed(drawn / f"clips-{draw}", Split.FEW_SHOT_TRAIN, draw, shots * ACTIONS)
        recipe = load_recipe("finetune", (*CHANGES, *changes))
        train(recipe, out, init=model, data=clips, resume=(out / "last").is_dir())
    return str(out / "last")


def top1_of_new(weights: str, clips: int, drawn: Path, out: Path, changes: Sequence[str] = ()) -> float:
    """Top-1 among new actions on `clips` clips of their own, in the recipe's protocol under the same `changes`."""
    if not (out / "summary.json").is_file():
        recipe = load_recipe("finetune", (*CHANGES, *changes))
        if not isinstance(recipe.data, FileData):
            raise TypeError("the recipe 'finetune' is of clips in files")
        listed = _listed(drawn / "clips", Split.FEW_SHOT_TEST, 0, clips)
        (trial,) = read_trials([weights], [str(listed)], recipe.data, recipe.test)
        given = [change.partition("=")[0] for change in (*CHANGES, *changes)]  # not as in training
        run_trial(load(weights, device="cpu"), trial, recipe, given=given).save(out)
    return _top1(out)


def _listed(folder: Path, split: Split, seed: int, clips: int) -> Path:
    """A list of the first `clips` clips of a split, rendered where they are not yet, by the action that they show."""
    out = folder / f"{split}-{clips}.csv"
    if not out.is_file():
        manifest = render_dataset(folder, split, clips, seed, workers=1)
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = [(row["path"], row["action"]) for row in csv.DictReader(file) if row["split"] == split]
        with out.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
    return out


def _top1(folder: Path) -> float:
    return json.loads((folder / "summary.json").read_text())["top1"]


def _report(table: dict[str, Sequence[float]], arguments: argparse.Namespace) -> None:
    print("| | top-1 |\n|---|---|")
    for name, values in table.items():
        print(f"| {name} | {mean(values):.1%}" + (f" ± {stdev(values):.1%}" if len(values) > 1 else "") + " |")
    print(json.dumps({"top1": table, "clips": arguments.clips, "few_clips": arguments.few_clips}))


if __name__ == "__main__":
    main()
