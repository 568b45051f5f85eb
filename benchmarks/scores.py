"""What scores are worth on Shapes: unknown actions, calibration, probes, retrieval.

    python -m benchmarks.scores --save     # then python -m benchmarks.tables

The bundled model on three sets of clips, each with `PER_ACTION` of every action, drawn, written as H.264 and read back;
a clip is asked about in sentences about its own object. Deviations are over the sets.

- unknown: half of the actions, an action together with its opposite, are no candidates; drawn anew for each set.
- calibration: fitted on one half of a set, measured on the other.
- probes: the same clips with time taken away.
- retrieval: each clip among the sentences of all clips of its set, and the other way round.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Bar, Options, Result, run
from crossframe import load
from crossframe.answers import Scoring
from crossframe.evaluate.calibration import Scored, fit, reliability
from crossframe.evaluate.probes import PROBES, probe_frames
from crossframe.evaluate.ranking import open_set
from crossframe.evaluate.retrieval import both_ways, score_all
from crossframe.evaluate.shapes import frames_of
from crossframe.inference import Inference, evaluating
from crossframe.model.xclip import XCLIP
from crossframe.shapes import actions
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.splits import Split, draw, split_actions
from crossframe.text import GENERIC, LabelSet

SETS = (0, 1, 2)
PER_ACTION = 15
ACTIONS = split_actions(Split.TEST)
TARGET = 0.95
IMPOSSIBLE = -1e4  # the logit of an action that the object of a clip cannot do


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A clip: its action and sentence, logits (A,) of the sentences of all actions and (G,) of the generic words, with
    time and, by the name of the probe, without, and logits (N,) of the sentences of its set."""

    action: str
    sentence: str
    logits: Tensor
    background: Tensor
    without: dict[str, Tensor]
    among: Tensor


def measure(options: Options) -> Result:
    model = load("shapes", device="cpu")
    each = 1 if options.tiny else PER_ACTION
    rows: list[dict[str, Any]] = []
    sets = [list(_seen(model, seed, each)) for seed in SETS]
    for name, table in (("unknown", _unknown), ("calibration", _calibration), ("probe", _probes), ("way", _retrieval)):
        rows += _mean_of(name, [table(clips, seed) for seed, clips in zip(SETS, sets, strict=True)])
    lower = next(row for row in rows if row.get("calibration") == "fitted")
    before = next(row for row in rows if row.get("calibration") == "as it is")
    return Result(
        [
            Bar("calibration error of the other half, of what it was", lower["error"] / before["error"], 2 / 3, True),
            Bar("upper end of the interval of the precision at 95%", lower["upper"], TARGET),
        ],
        rows,
        [f"{len(SETS)} sets of {each * len(ACTIONS)} clips"],
    )


@torch.inference_mode()
def _seen(model: XCLIP, seed: int, each: int) -> Iterator[Seen]:
    scenes = [draw(Split.TEST, seed, index) for index in range(each * len(ACTIONS))]
    said = list(dict.fromkeys(sentence(scene) for scene in scenes))
    with evaluating(model):
        inference = Inference(model, fast=False)
        of_set = inference.texts.of_texts(said)
        generic = inference.texts.of_texts(GENERIC)
        for scene in scenes:
            frames = frames_of(scene, model.config.num_frames)
            own = all_sentences(scene, ACTIONS)
            text = inference.texts.of_texts(list(own.values()))
            plain = inference.encode([frames])
            yield Seen(
                scene.action,
                sentence(scene),
                _placed(own, inference.score(plain, text)[0]),
                inference.score(plain, generic)[0].double(),
                {
                    probe: _placed(own, inference.score(inference.encode([probe_frames(frames, probe)]), text)[0])
                    for probe in PROBES
                },
                score_all(inference, plain, of_set)[0].double(),
            )


def _placed(own: Mapping[str, str], logits: Tensor) -> Tensor:
    """Logits of the actions that an object can do, in the order of all actions."""
    found = torch.full((len(ACTIONS),), IMPOSSIBLE, dtype=torch.float64)
    found[[ACTIONS.index(action) for action in own]] = logits.double()
    return found


def _unknown(clips: Sequence[Seen], seed: int) -> dict[str, dict[str, float]]:
    """Of each score of a clip's best known action: how well it tells known clips from unknown ones."""
    families = sorted({min(action, actions.opposite(action)) for action in ACTIONS})
    chosen = set(random.Random(seed).sample(families, len(families) // 2))
    known = [place for place, action in enumerate(ACTIONS) if min(action, actions.opposite(action)) in chosen]
    names = {ACTIONS[place] for place in known}
    scores: dict[str, list[float]] = {}
    correct: list[bool] = []
    for clip in clips:
        logits = clip.logits[known]
        first, second = logits.softmax(0).topk(2).values.tolist()
        with_background = Scoring(LabelSet.of([ACTIONS[place] for place in known], GENERIC))
        values = {
            "softmax": first,
            "margin": first - second,
            "cosine": float(logits.max()),
            "background": float(with_background(torch.cat([logits, clip.background])).max()),
        }
        for name, value in values.items():
            scores.setdefault(name, []).append(value)
        correct.append(ACTIONS[known[int(logits.argmax())]] == clip.action)
    inside = [clip.action in names for clip in clips]
    found = {name: open_set(values, inside, correct) for name, values in scores.items()}
    return {name: {"auroc": each["auroc"], "fpr95": each["fpr95"]} for name, each in found.items()}


def _calibration(clips: Sequence[Seen], seed: int) -> dict[str, dict[str, float]]:
    places = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
    one, other = places.chunk(2)
    true = torch.tensor([[action == clip.action for action in ACTIONS] for clip in clips])
    scored = Scored(Scoring(LabelSet.of(ACTIONS)), torch.stack([clip.logits for clip in clips]), true)
    found = fit(scored.half(one), TARGET)
    return {
        name: {
            "error": part["error"],
            "answered": part["accepted"] / part["answers"],
            "right": part["precision"] or float("nan"),
            "upper": (part["precision_interval"] or [0.0, 1.0])[1],
        }
        for name, part in (
            ("as it is", reliability(scored.half(other), None)),
            ("fitted", reliability(scored.half(other), found)),
        )
    }


def _probes(clips: Sequence[Seen], _seed: int) -> dict[str, dict[str, float]]:
    def top1(name: str | None) -> float:
        answers = (clip.logits if name is None else clip.without[name] for clip in clips)
        return mean(ACTIONS[int(logits.argmax())] == clip.action for logits, clip in zip(answers, clips, strict=True))

    whole = top1(None)
    return {"none": {"top1": whole, "drop": 0.0}} | {
        probe: {"top1": top1(probe), "drop": whole - top1(probe)} for probe in PROBES
    }


def _retrieval(clips: Sequence[Seen], _seed: int) -> dict[str, dict[str, float]]:
    said = list(dict.fromkeys(clip.sentence for clip in clips))
    right = np.array([[text == clip.sentence for text in said] for clip in clips])
    return both_ways(torch.stack([clip.among for clip in clips]).numpy(), right)


def _mean_of(column: str, sets: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row for each name: means, deviations over the sets, and the values of each set."""
    rows: list[dict[str, Any]] = []
    for name in sets[0]:
        values = {key: [found[name][key] for found in sets] for key in sets[0][name]}
        row: dict[str, Any] = {column: name}
        for key, numbers in values.items():
            row |= {key: mean(numbers), f"{key} ±": stdev(numbers)}
        rows.append({**row, "sets": values})
    return rows


def main() -> None:
    run("scores", measure)


if __name__ == "__main__":
    main()
