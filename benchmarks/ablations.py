"""The paper's ablations on Shapes: which encoder learns, words, sampling, and video encoders.

    crossframe train study-pretrain --out runs/study-pretrain
    python -m benchmarks.ablations runs/study-pretrain/last

*Full* is the protocol of `benchmarks.components`: clips drawn on the fly, an order of frames learned first
(`study-order`), then everything (`study`), with several seeds. *Few* (`few clips`) is that of
`benchmarks.shapes_protocols`: the recipe `finetune` from the bundled model, K = 8 clips of each new action, several
draws. `--only` makes one of the two. Every finished run is kept in the folder --runs and not repeated.

How far the twins are those of the paper:

- In both recipes both encoders learn, as small encoders need, so "both" and not "image encoder" is the method as a
  whole, and the rows of the other tables have a text encoder that learns too.
- The bundled model is a video model already. From it, a row of *few* without a part has that part left out of weights
  that learned together with it; a part that it has (messages, the multi-frame transformer, prompts) starts trained, and
  learns at the rate of new parts. Learned vectors and the linear head start untrained, as in the paper.
- In *full*, the first stage teaches the text encoder in every row; "neither" means that none learns after that.
- "Joint space-time attention" has no messages and no multi-frame transformer, as in the paper, and so no order of
  frames. In *full* it and "one frame" learn the first stage without order too, "one frame" with a single frame.
- Drawn clips have sentences of their own and frames at any moment, so templates, a linear head and sampling are
  questions to clips in files alone. Dense are 8 frames, 4 apart.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shapes_protocols import taught, top1_of_new
from benchmarks.study import CLIPS, Scores, drawn_once, keep, measured, options, parsed, show, trained
from crossframe import load
from crossframe.weights.saving import fingerprint

NO_ORDER = "model.mit_layers=0"
NO_PROMPTS = "model.prompt_layers=0"
ONE_FRAME = "model.frames=1"
DENSE = "data.sampling=dense"
TWELVE_VIEWS = ("test.views=4", "test.crops=3")
IN_BOTH_STAGES = (NO_ORDER, ONE_FRAME)
FULL = ("test action", "test opposite", "unseen action", "zero_shot action")
FEW = "few clips"


@dataclass(frozen=True, slots=True)
class Row:
    """A variant: the switches of its training, those of its test alone, and whether it has a twin in *full*."""

    changes: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    full: bool = True


TABLES: dict[str, dict[str, Row]] = {
    "which encoder learns": {
        "both": Row(),
        "image encoder": Row(("train.learn=[vision]",)),
        "text encoder": Row(("train.learn=[text]",)),
        "neither": Row(("train.learn=[]",)),
    },
    "words": {
        "no prompts": Row((NO_PROMPTS,)),
        "16 templates": Row((NO_PROMPTS, "data.template=ensemble"), full=False),
        "16 learned vectors": Row((NO_PROMPTS, "model.learned_vectors=16")),
        "video-specific prompts": Row(),
        "a linear head": Row(("model.linear_head=true",), full=False),
    },
    "sampling": {
        "sparse": Row(full=False),
        "dense": Row((DENSE,), full=False),
        "sparse, tested dense": Row((), (DENSE,), full=False),
        "sparse, 4 x 3 views": Row((), TWELVE_VIEWS, full=False),
        "dense, 4 x 3 views": Row((DENSE,), TWELVE_VIEWS, full=False),
        "sparse, tested dense, 4 x 3 views": Row((), (DENSE, *TWELVE_VIEWS), full=False),
    },
    "video encoder": {
        "one frame": Row((ONE_FRAME, "model.mixing=none", NO_ORDER)),
        "joint space-time attention": Row(("model.mixing=joint", NO_ORDER)),
        "X-CLIP": Row(),
    },
}


def main(words: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("weights", type=Path, nargs="?", help="the folder 'last' of study-pretrain, for full")
    parser.add_argument("--only", choices=("full", "few"))
    parser.add_argument("--model", default="shapes", help="the weights that few starts from")
    parser.add_argument("--seeds", type=int, default=3, help="of each run of full, and draws of few")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--clips", type=int, default=CLIPS, help="test clips of each split of full")
    parser.add_argument("--few-clips", type=int, default=240, help="test clips of few")
    parser.add_argument("--shots", type=int, default=8, help="clips of each new action in few")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="a further switch of every run")
    arguments = parsed(parser, words)
    if arguments.weights is None and arguments.only != "few":
        parser.error("full starts from the folder 'last' of study-pretrain; give it, or --only few")
    columns = {"full": FULL, "few": (FEW,)}
    settings = [arguments.only] if arguments.only else [*columns]
    tables: dict[str, dict[str, dict[str, list[Scores]]]] = {setting: {} for setting in settings}
    with drawn_once(arguments.runs):
        for title, rows in TABLES.items():
            print(f"\n{title}\n")
            for setting in settings:
                found = {name: _scores(row, setting, arguments) for name, row in rows.items()}
                if measured_rows := {name: scores for name, scores in found.items() if scores}:
                    tables[setting][title] = measured_rows
                    show(measured_rows, columns[setting])
    for setting, found in tables.items():
        keep(f"ablations_{setting}", found, arguments)


def _scores(row: Row, setting: str, arguments: argparse.Namespace) -> list[Scores]:
    """Of every seed of full, or of every draw of few; none where the row has no twin there."""
    if setting == "full":
        return [_full(row, seed, arguments) for seed in range(arguments.seeds)] if row.full else []
    return [_few(row, draw, arguments) for draw in range(arguments.seeds)]


def _full(row: Row, seed: int, arguments: argparse.Namespace) -> Scores:
    folder = arguments.runs / f"seed-{seed}"
    first = tuple(change for change in row.changes if change in IN_BOTH_STAGES)
    expanded = trained(
        "study-order", (*first, *arguments.set), arguments.weights, folder / _named("order", first), seed
    )
    out = folder / _named("study", row.changes)
    return measured(trained("study", (*row.changes, *arguments.set), expanded, out, seed), out, arguments.clips)


def _few(row: Row, draw: int, arguments: argparse.Namespace) -> Scores:
    folder = arguments.runs / fingerprint(load(arguments.model, device="cpu"))[:12] / f"draw-{draw}"
    folder = folder / _named(f"K-{arguments.shots}", row.changes)
    changes = (*row.changes, *arguments.set)
    weights = taught(arguments.model, arguments.shots, draw, arguments.runs, folder / "trained", changes)
    out = folder / _named("test", row.test)
    return {FEW: top1_of_new(weights, arguments.few_clips, arguments.runs, out, (*changes, *row.test))}


def _named(stage: str, changes: Sequence[str]) -> str:
    """A folder for these switches, the same in every table."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join((stage, *changes)), flags=re.IGNORECASE).strip("-")


if __name__ == "__main__":
    main()
