"""Puts a trained model of the generated world into the package, in half precision, with a card of measured figures.

    python scripts/bundle_shapes.py runs/shapes/last

The figures are those of the weights as they are bundled, on clips that training never saw.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from textwrap import fill
from typing import Any

import torch

from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.weights import load, save
from crossframe.weights.folder import BUNDLED

CLIPS = 1100  # of each split; 50 of each action of the test split
KINDS = ("action", "color", "shape")
CHANCE = {"test": "20 or 22", "unseen": "20 or 22", "zero_shot": "12 or 24", "few_shot_test": "7 or 8"}
MEANING = {
    "test": "new clips of known objects and actions",
    "unseen": "known objects and known actions in combinations that training never showed",
    "zero_shot": "two known actions at once, which training never showed",
    "few_shot_test": "actions that training never showed or named",
}

CARD = """# Model card: shapes

A small X-CLIP for trying everything offline. It knows drawn shapes and nothing else: it has never seen a photograph, a
person or a word beyond those of its world. Give it your videos and it will answer, with confidence and without meaning.

- Size: {parameters:,} parameters, {megabytes:.1f} MB in half precision; 8 frames, {image} pixels, patches of {patch}.
- World: the one that this version draws (`crossframe.shapes.VERSION` {world}).
- Colors: {colors}.
- Shapes: {shapes}.
- Actions: {actions}.
- Made by `make retrain` from this repository alone: language-image pretraining on single drawn frames, then the
  multi-frame transformer over frozen frames, then message tokens, then prompts. Seeds and settings are in the recipes.
- License: MIT, like the code.

## What it gets right

Measured by `python scripts/bundle_shapes.py` on {clips} clips of each split, from seeds that training never used, each
written as an H.264 file and read back. `action` is the choice among all that the object could do ({chance}
sentences), `opposite` that between an action and its reversal in time (1 in 2), `color` (1 in {num_colors}) and
`shape` (1 in {num_shapes}) among sentences that differ in that word.

| split | what it holds | action | opposite | color | shape |
|---|---|---|---|---|---|
{table}

By what is hard about a clip, on the test split; most clips have several of these at once:

| what | clips | action | color | shape |
|---|---|---|---|---|
{by_factor}

By action, on the test split (the last column for actions that have an opposite):

| action | right | against its opposite |
|---|---|---|
{by_action}

## What it gets wrong

The most frequent confusions among {clips} test clips:

| shown | said | clips |
|---|---|---|
{mistaken}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a run's folder 'last' or 'best'")
    parser.add_argument("--clips", type=int, default=CLIPS)
    arguments = parser.parse_args()
    save(load(arguments.checkpoint, device="cpu"), BUNDLED, dtype=torch.float16)
    model = load(BUNDLED, device="cpu")
    summaries = {split: evaluate_shapes(model, split, arguments.clips).summary() for split in MEANING}
    (BUNDLED / "README.md").write_text(_card(summaries, arguments.clips), encoding="utf-8")
    (BUNDLED / "scores.json").write_text(json.dumps(summaries, indent=2) + "\n", encoding="utf-8")
    for split, summary in summaries.items():
        print(split, {name: round(value, 3) for name, value in summary.items() if isinstance(value, float)})


def _card(summaries: dict[str, dict[str, Any]], clips: int) -> str:
    from crossframe.shapes import VERSION, looks
    from crossframe.shapes.actions import ACTIONS

    model = load(BUNDLED, device="cpu")
    test = summaries["test"]
    rows = [
        f"| {split} | {MEANING[split]} | "
        + " | ".join(f"{summary[name]:.1%}" for name in ("action", "opposite", "color", "shape"))
        + " |"
        for split, summary in summaries.items()
    ]
    opposite = {action: f"{right:.0%}" for action, right in test["per_opposite"].items()}
    by_factor = [
        f"| {name} | {found['clips']} | " + " | ".join(f"{found[kind]:.0%}" for kind in KINDS) + " |"
        for name, found in test["per_factor"].items()
    ]
    by_action = [
        f"| {action} | {right:.0%} | {opposite.get(action, '')} |" for action, right in test["per_action"].items()
    ]
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        megabytes=(BUNDLED / "model.safetensors").stat().st_size / 1e6,
        image=model.config.vision.image_size,
        patch=model.config.vision.patch_size,
        colors=", ".join(looks.COLORS),
        shapes=", ".join(looks.SHAPES),
        actions=fill(", ".join(ACTIONS), 108, subsequent_indent="  "),
        clips=clips,
        num_colors=len(looks.COLORS),
        num_shapes=len(looks.SHAPES),
        world=VERSION,
        chance=", ".join(f"{count} in `{split}`" for split, count in CHANCE.items()),
        table="\n".join(rows),
        by_factor="\n".join(by_factor),
        by_action="\n".join(by_action),
        mistaken="\n".join(f"| {row['shown']} | {row['said']} | {row['clips']} |" for row in test["mistaken"]),
    )


if __name__ == "__main__":
    main()
