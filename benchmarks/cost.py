"""Multiply-accumulates of one clip and 400 labels, for every variant of the paper, beside those of the authors' code.

    python -m benchmarks.cost

Counted on the meta device, so nothing is computed: linear layers, convolutions and attention products, with the text
features known beforehand. The authors' counts are those of tests/golden/flops.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from crossframe.model.config import variant
from crossframe.model.xclip import XCLIP
from crossframe.train.memory import multiply_accumulates

LABELS = 400
AUTHORS = Path(__file__).parents[1] / "tests" / "golden" / "flops.json"


def gmacs(name: str, num_frames: int) -> float:
    """Billions of multiply-accumulates for one clip of this many frames and its labels."""
    return encoding_gmacs(name, num_frames, LABELS)


def encoding_gmacs(name: str, num_frames: int, labels: int = 0) -> float:
    """The same for encoding the clip, and for scoring `labels` if there are any."""
    with torch.device("meta"):
        model = XCLIP(variant(name, num_frames))
    return multiply_accumulates(model, labels) / 1e9


def main() -> None:
    cases = json.loads(AUTHORS.read_text(encoding="utf-8"))["cases"]
    rows = []
    print(f"{'variant':<12} {'frames':>6} {'GMAC':>9} {'authors':>9} {'ratio':>7} {'paper':>6}")
    for case, known in cases.items():
        name, frames = case.rsplit("_", 1)
        ours, theirs = gmacs(name, int(frames.removesuffix("f"))), known["total_gmacs_with_cached_text"]
        print(f"{name:<12} {frames[:-1]:>6} {ours:9.2f} {theirs:9.2f} {ours / theirs:7.4f} {known['paper_gflops']:>6}")
        rows.append({"case": case, "gmacs": ours, "authors": theirs})
    print(json.dumps({"benchmark": "cost", "labels": LABELS, "rows": rows}))


if __name__ == "__main__":
    main()
