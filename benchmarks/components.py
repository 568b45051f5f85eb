"""The paper's table of components on Shapes, in the size of studies: mean of frames, + cross-frame attention,
+ multi-frame transformer, + video-specific prompts.

    crossframe train study-pretrain --out runs/study-pretrain
    python -m benchmarks.components runs/study-pretrain/last

Every variant starts from the same language-image weights and learns in the same two stages, as long and with the same
rates: what is new over frozen frames (`study-order`), then everything (`study`). Seeds change starting values and
clips.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.study import CLIPS, Scores, drawn_once, keep, measured, options, parsed, show, trained

MEAN = "model.mixing=none"
NO_ORDER = "model.mit_layers=0"
NO_PROMPTS = "model.prompt_layers=0"
VARIANTS = {
    "mean of frames": (MEAN, NO_ORDER, NO_PROMPTS),
    "+ cross-frame attention": (NO_ORDER, NO_PROMPTS),
    "+ multi-frame transformer": (NO_PROMPTS,),
    "+ video-specific prompts": (),
}
COLUMNS = ("test action", "test opposite", "unseen action", "zero_shot action", "test color", "test shape")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("weights", type=Path, help="the folder 'last' of study-pretrain")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/components"))
    parser.add_argument("--clips", type=int, default=CLIPS, help="test clips of each split")
    arguments = parsed(parser)
    runs: dict[str, list[Scores]] = {name: [] for name in VARIANTS}
    with drawn_once(arguments.runs):
        for seed in range(arguments.seeds):
            for number, (name, changes) in enumerate(VARIANTS.items()):
                order = [change for change in changes if change == NO_ORDER]
                folder = arguments.runs / f"seed-{seed}"
                first = folder / ("order-without-mit" if order else "order")
                expanded = trained("study-order", order, arguments.weights, first, seed)
                out = folder / f"{number}-of-components"
                weights = trained("study", changes, expanded, out, seed)
                runs[name].append(measured(weights, out, arguments.clips))
    show(runs, COLUMNS)
    keep("components", {"components": runs}, arguments)


if __name__ == "__main__":
    main()
