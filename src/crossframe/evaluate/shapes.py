"""What a model knows of the generated world, asked word by word: the action, its opposite, the colour, the shape.

Every clip has its own questions, because its sentences name its own object. A question is a choice between sentences of
which exactly one is true; the model answers with the best of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossframe.data.atomic import replacing
from crossframe.model.xclip import XCLIP
from crossframe.shapes import actions, looks
from crossframe.shapes.actions import ACTIONS
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.render import render
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw, parse, split_actions
from crossframe.weights.fingerprint import fingerprint

BATCH = 32  # clips computed together
RENDER_SIZE = 112  # the smaller side of the smaller files that `crossframe shapes render` writes


@dataclass(frozen=True, slots=True)
class Question:
    """A choice between `sentences`, keyed by the one word in which they differ; `right` is the key of the true one."""

    kind: str
    sentences: dict[str, str]
    right: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model chose: the words are keys of the question's sentences."""

    kind: str
    action: str  # what the clip shows
    right: str
    said: str


def questions(scene: Scene, split: Split) -> Iterator[Question]:
    """The questions of a scene.

    `action`: everything its object could do; in `zero_shot` every pair, in the few-shot splits every new action.
    `opposite`: the action or its reversal in time, which shows the same frames in the other order.
    `colour`, `shape`: the same sentence about objects that differ in that alone.
    """
    known = split in (Split.TRAIN, Split.VAL, Split.TEST, Split.UNSEEN)
    by_action = all_sentences(scene, tuple(ACTIONS) if known else split_actions(split))
    yield Question("action", by_action, scene.action)
    opposite = actions.opposite(scene.action)
    if opposite != scene.action and opposite in by_action:
        yield Question("opposite", {name: by_action[name] for name in (scene.action, opposite)}, scene.action)
    look = scene.target.look
    yield Question("colour", {c: _about(scene, replace(look, colour=c)) for c in looks.COLOURS}, look.colour)
    turns = any(part.turns for part in actions.find(scene.action))
    shapes = looks.TURNABLE if turns else looks.SHAPES
    yield Question("shape", {s: _about(scene, replace(look, shape=s)) for s in shapes}, look.shape)


def _about(scene: Scene, look: looks.Look) -> str:
    return sentence(replace(scene, target=replace(scene.target, look=look)))


@torch.inference_mode()
def evaluate_shapes(
    model: XCLIP,
    split: Split | str = Split.TEST,
    clips: int = 1100,
    *,
    seed: int = 0,
    nuisance: float = 1.0,
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Asks the model about the first `clips` clips of a split, drawn in memory, and returns a summary.

    `action`, `opposite`, `colour` and `shape` are accuracies in [0, 1] over the clips that can be asked; `per_action`
    and `per_opposite` the same by the action shown; `mistaken` the most frequent confusions. Raises `ValueError` for an
    unknown split or a model without a text encoder.
    """
    part = parse(split)
    model.eval()
    text: dict[str, Tensor] = {}  # sentence to its embedding (E,)
    answers: list[Answer] = []
    for start in range(0, clips, BATCH):
        scenes = [draw(part, seed, index, nuisance=nuisance) for index in range(start, min(start + BATCH, clips))]
        frames = [torch.from_numpy(render(scene, RENDER_SIZE, model.config.num_frames)) for scene in scenes]
        features = model.encode_video(model.prepare(frames))
        asked = [(i, scene, question) for i, scene in enumerate(scenes) for question in questions(scene, part)]
        _embed(model, text, {words for _, _, question in asked for words in question.sentences.values()})
        for i, scene, question in asked:
            labels = torch.stack([text[words] for words in question.sentences.values()])  # (K, E)
            scores = dict(zip(question.sentences, model.score(features.clip(i), labels)[0].tolist(), strict=True))
            # where scores tie, the answer counts as wrong
            said = max(scores, key=lambda word: (scores[word], word != question.right))
            answers.append(Answer(question.kind, scene.action, question.right, said))
        done(min(start + BATCH, clips))
    made_with = {"split": str(part), "clips": clips, "seed": seed, "nuisance": nuisance, "weights": fingerprint(model)}
    return _summary(answers) | {"made_with": made_with}


def _embed(model: XCLIP, known: dict[str, Tensor], texts: set[str]) -> None:
    new = sorted(texts - known.keys())
    if new:
        known.update(zip(new, model.encode_text(model.tokenize(new)), strict=True))


def _summary(answers: list[Answer]) -> dict[str, Any]:
    kinds = dict.fromkeys(answer.kind for answer in answers)
    return {
        **{kind: _accuracy(a for a in answers if a.kind == kind) for kind in kinds},
        **{f"per_{kind}": _by_action(answers, kind) for kind in ("action", "opposite")},
        "mistaken": [
            {"shown": right, "said": said, "clips": count}
            for (right, said), count in Counter(
                (a.right, a.said) for a in answers if a.kind == "action" and a.right != a.said
            ).most_common(12)
        ],
    }


def _by_action(answers: list[Answer], kind: str) -> dict[str, float]:
    chosen = [answer for answer in answers if answer.kind == kind]
    return {
        action: _accuracy(a for a in chosen if a.action == action) for action in dict.fromkeys(a.action for a in chosen)
    }


def _accuracy(answers: Iterable[Answer]) -> float:
    right = [answer.right == answer.said for answer in answers]
    return sum(right) / len(right)


def save_summary(summary: dict[str, Any], out: Path) -> Path:
    """Writes `summary.json` into a folder, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "summary.json"
    with replacing(path) as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return path
