"""Several labels at once on Shapes: softmax training against sigmoid training, measured on two actions at once.

    python -m benchmarks.several --save     # then python -m benchmarks.tables

Both learn from clips of single actions, starting from the bundled model, with three seeds each; the clips of the split
`zero_shot` show two actions, and both of their labels are right. The number is mAP over the actions.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from benchmarks.harness import Options, Result, run
from crossframe import load
from crossframe.data.clip import SEVERAL
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.evaluate.result import MultiLabelEvaluation
from crossframe.evaluate.trials import Trial, run_trial
from crossframe.recipes.load import load_recipe
from crossframe.shapes.splits import Split, split_actions
from crossframe.shapes.write import render_dataset
from crossframe.train.run import train

SEEDS = (0, 1, 2)
TRAIN_CLIPS = 8  # of each action
TEST_CLIPS = 2  # of each pair
EPOCHS = 10
CHANGES = (
    "data.template=something {}",
    "data.hold_out=0",
    "data.test_split=none",
    "train.workers=0",
    "train.precision=float32",
)


def measure(options: Options) -> Result:
    seeds = SEEDS[:1] if options.tiny else SEEDS
    each, pairs, epochs = (1, 1, 1) if options.tiny else (TRAIN_CLIPS, TEST_CLIPS, EPOCHS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        single = _listed(folder, Split.TRAIN, each)
        double = read_manifest(_listed(folder, Split.ZERO_SHOT, pairs))
        double = replace(double, labels=tuple(sorted({*double.labels, *read_manifest(single).labels})))
        found = {"the model as it is": [_mean_ap("shapes", double)]}
        for loss in ("softmax", "sigmoid"):
            found[loss] = []
            for seed in seeds:
                recipe = load_recipe("finetune", (*CHANGES, f"train.loss={loss}", *_of(seed, epochs)))
                train(recipe, folder / f"{loss}-{seed}", init="shapes", data=single)
                found[loss].append(_mean_ap(str(folder / f"{loss}-{seed}" / "last"), double))
    rows = [
        {"training": name, "mAP": mean(values), "mAP ±": stdev(values) if len(values) > 1 else None, "seeds": values}
        for name, values in found.items()
    ]
    note = f"{each} clips of each of {len(split_actions(Split.TRAIN))} actions, {epochs} epochs; {len(double)} clips"
    return Result([], rows, [note])


def _of(seed: int, epochs: int) -> tuple[str, str]:
    return f"train.seed={seed}", f"train.epochs={epochs}"


def _listed(folder: Path, split: Split, each: int) -> Path:
    """A list of rendered clips by what they show: one action, or two."""
    manifest = render_dataset(folder, split, each * len(split_actions(split)), 0, workers=1)
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [(row["path"], row["action"].replace(" and ", SEVERAL)) for row in csv.DictReader(file)]
    rows = [(path, label) for path, label in rows if path.startswith(f"{split}/")]
    listed = folder / f"{split}.csv"
    with listed.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return listed


def _mean_ap(weights: str, clips: Manifest) -> float:
    recipe = load_recipe("finetune", CHANGES)
    found = run_trial(load(weights, device="cpu"), Trial(weights, "zero_shot", None, clips), recipe)
    if not isinstance(found, MultiLabelEvaluation):
        raise TypeError("the clips have one label each")
    return found.mean_ap


def main() -> None:
    run("several", measure)


if __name__ == "__main__":
    main()
