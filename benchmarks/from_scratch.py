"""A SigLIP-style pair of encoders beside a CLIP-style one, from scratch on Shapes, in the size of studies: what it
costs or gains to make messages of the mean of patches, and to train with the sigmoid loss.

    python -m benchmarks.from_scratch

Every variant is trained on images and texts (`study-pretrain`), expanded, and trained on clips (`study-order`,
`study`). Seeds change starting values and clips in all three. Finished runs are kept, so a study that was stopped goes
on.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.study import CLIPS, Scores, drawn_once, keep, measured, options, parsed, show, trained

SIGLIP = ("model.towers.family=SigLIP", "model.towers.context_length=20")  # as in study-siglip
# The recipe of the language-image weights, and changes to it.
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CLIP-style, softmax": ("study-pretrain", ()),
    "SigLIP-style, softmax": ("study-pretrain", SIGLIP),
    "SigLIP-style, sigmoid": ("study-siglip", ()),
}
COLUMNS = ("test action", "test opposite", "unseen action", "zero_shot action", "test color", "test shape")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/from-scratch"))
    parser.add_argument("--clips", type=int, default=CLIPS, help="test clips of each split")
    parser.add_argument("--set", action="append", default=[], help="a change to all three recipes")
    arguments = parsed(parser)
    runs: dict[str, list[Scores]] = {name: [] for name in VARIANTS}
    with drawn_once(arguments.runs):
        for seed in range(arguments.seeds):
            for number, (name, (recipe, changes)) in enumerate(VARIANTS.items()):
                folder = arguments.runs / f"seed-{seed}" / str(number)
                images = trained(recipe, (*changes, *arguments.set), None, folder / "images", seed)
                expanded = trained("study-order", arguments.set, images, folder / "order", seed)
                weights = trained("study", arguments.set, expanded, folder / "study", seed)
                runs[name].append(measured(weights, folder / "study", arguments.clips))
    show(runs, COLUMNS)
    keep("from_scratch", {"from scratch": runs}, arguments)


if __name__ == "__main__":
    main()
