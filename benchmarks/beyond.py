"""What methods beyond the paper give on Shapes: the accuracy on what fine-tuning showed, and on what it did not.

    crossframe train study-pretrain --out runs/study-pretrain
    crossframe train study-order --init runs/study-pretrain/last --out runs/study-order
    python -m benchmarks.beyond runs/study-order/last

CLIP knows many more actions by name than the data set that it is fine-tuned on, and forgets some of them there. The
twin of that: `study-order` knows all actions; from its weights, every variant learns the paper's new parts and the
image encoder on clips of `SHOWN` alone, as long and with the same rates. `LEFT_OUT` is then the zero-shot test, among
its own names. The weight of a blend with the pretrained model is the best for the mean of two accuracies on other
clips: of `SHOWN`, and of `HELD_OUT`, actions that these runs did not train on either and that are not tested. The
latter alone would choose the pretrained model itself, and give up what was learned.

Interpolated training and distillation come in the form of their authors' code and in one of ours (`Interpolate` and
`Distill` of `recipes/schema.py`). Seeds change starting values and clips. Finished runs and scores are kept, so a study
that was stopped goes on; `--only` makes some variants, and `--no-blend` leaves the blends out.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

from benchmarks.study import Scores, drawn_once, keep, options, parsed, show, trained
from crossframe import XCLIP, load
from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.shapes.actions import ACTIONS
from crossframe.weights.blending import CANDIDATES, blend, choose_weight

LEFT_OUT = ("moving up", "moving down", "appearing", "vanishing", "approaching", "moving away from")
HELD_OUT = ("growing", "shrinking", "blinking", "shaking")
SHOWN = tuple(action for action in ACTIONS if action not in (*LEFT_OUT, *HELD_OUT))
CHOOSING = {"shown": SHOWN, "held out": HELD_OUT}  # what chooses the weight of a blend, on other clips

AVERAGE = "train.average=epochs"
NEAR, NEAR_BY_CHAIN = (
    ("train.interpolate={gradient: authors}", AVERAGE),
    ("train.interpolate={gradient: chain}", AVERAGE),
)
LIKE, LIKE_IN_CLIPS = "train.distill={form: authors}", "train.distill={form: clip}"
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "interpolated training": NEAR,
    "interpolated training, chain rule": NEAR_BY_CHAIN,
    "distillation": (LIKE,),
    "distillation of clips": (LIKE_IN_CLIPS,),
    "text encoder learns too": ("train.learn=[vision, text]",),
    "messages know the time": ("model.message_time=true",),
    "interpolation and distillation": (*NEAR, LIKE),
    "interpolation by chain rule and distillation of clips": (*NEAR_BY_CHAIN, LIKE_IN_CLIPS),
}
TESTS: dict[str, tuple[str, tuple[str, ...] | None]] = {  # split, and the actions that are shown and to choose from
    "seen": ("test", SHOWN),
    "zero-shot actions": ("test", LEFT_OUT),
    "unseen combinations": ("unseen", SHOWN),
    "two at once": ("zero_shot", None),
}
CLIPS = 264  # of each test: every action equally often


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("weights", help="what crossframe.load takes: the folder 'last' of study-order, or 'shapes'")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="of each run, in three epochs")
    parser.add_argument("--runs", type=Path, default=Path("runs/beyond"))
    parser.add_argument("--clips", type=int, default=CLIPS, help="test clips of each kind")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=[*VARIANTS], metavar="VARIANT")
    parser.add_argument("--no-blend", action="store_true", help="leave out the blends with the pretrained model")
    arguments = parsed(parser)
    pretrained = load(arguments.weights, device="cpu")
    runs: dict[str, list[Scores]] = {
        "pretrained": [scores_of(pretrained, arguments.runs / "pretrained", arguments.clips)]
    }
    paths: dict[str, list[Scores]] = {}  # accuracies by the weight of the blend
    with drawn_once(arguments.runs):
        for seed in range(arguments.seeds):
            for name in arguments.only:
                changes = (*setting(arguments.steps), *VARIANTS[name])
                out = arguments.runs / f"seed-{seed}" / name.replace(" ", "-")
                tuned = load(trained("study", changes, arguments.weights, out, seed), device="cpu")
                runs.setdefault(name, []).append(scores_of(tuned, out, arguments.clips))
                if arguments.no_blend:
                    continue
                weight, path = path_between(tuned, pretrained, out, arguments.clips // 3)
                blended = scores_of(blend(tuned, pretrained, weight), out, arguments.clips, "blended-scores.json")
                runs.setdefault(f"{name}, blended", []).append({**blended, "weight": weight})
                for kind in CHOOSING:
                    paths.setdefault(f"{name}, {kind}", []).append({at: scores[kind] for at, scores in path.items()})
    if paths:
        show(paths, [str(weight) for weight in CANDIDATES])
    show(runs, (*TESTS, "weight"))
    keep("beyond", {"methods": runs, "between": paths}, arguments)


def setting(steps: int) -> tuple[str, ...]:
    """What all variants have in common: the paper's frozen text, and part of the actions."""
    return (
        "train.learn=[vision]",
        f"data.actions={json.dumps(SHOWN)}",
        f"data.batches_per_epoch={steps // 3}",
        "data.test_clips=24",
    )


def scores_of(model: XCLIP, out: Path, clips: int, name: str = "scores.json") -> Scores:
    """Accuracies by test, from the file of an earlier time where there is one."""
    path = out / name
    if not path.is_file():
        scores = {test: accuracy(model, split, among, clips) for test, (split, among) in TESTS.items()}
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(scores))
    return json.loads(path.read_text())


def path_between(tuned: XCLIP, pretrained: XCLIP, out: Path, clips: int) -> tuple[float, dict[str, Scores]]:
    """The weight that is best for shown and held-out actions alike, and both accuracies of every weight."""
    file = out / "blend.json"
    if not file.is_file():
        sides: list[Scores] = []

        def score(model: XCLIP) -> float:
            sides.append({kind: accuracy(model, "val", actions, clips) for kind, actions in CHOOSING.items()})
            return mean(sides[-1].values())

        weight, tried = choose_weight(tuned, pretrained, score)
        path = dict(zip(map(str, tried), sides, strict=True))
        file.write_text(json.dumps({"weight": weight, "path": path}))
    found = json.loads(file.read_text())
    return found["weight"], found["path"]


def accuracy(model: XCLIP, split: str, among: tuple[str, ...] | None, clips: int) -> float:
    return evaluate_shapes(model, split, clips, among=among).summary()["action"]


if __name__ == "__main__":
    main()
