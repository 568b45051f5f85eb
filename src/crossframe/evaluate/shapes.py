"""Accuracies in the generated world by kind of word: the action, its opposite, the color, the shape.

Each clip has multiple-choice questions of its own, since the sentences name its own object: exactly one sentence is
true, and the model answers with the one of the highest score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from crossframe.data.reader import Sampling
from crossframe.distributed import from_all_processes, this_process
from crossframe.evaluate.result import Evaluation, VideoResult
from crossframe.evaluate.statistics import TOP
from crossframe.inference import TextFeatures, evaluating
from crossframe.model.xclip import XCLIP
from crossframe.shapes import VERSION, actions, looks
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.factors import FACTORS, factors
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw, index_among, parse, split_actions
from crossframe.shapes.write import write_clip
from crossframe.video.decode import read_video
from crossframe.weights.saving import fingerprint

BATCH = 32  # clips computed together
DATA = "shapes"  # what a summary calls clips that are drawn, where others have a folder


@dataclass(frozen=True, slots=True)
class Question:
    """A choice between `sentences`, keyed by the word in which they differ; `right` is the key of the true one."""

    kind: str
    sentences: dict[str, str]
    right: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's choice; `right` and `said` are keys of the question's sentences."""

    kind: str
    action: str  # what the clip shows
    right: str
    said: str
    factors: tuple[str, ...] = ()  # what is hard about the clip


def questions(scene: Scene, split: Split, among: Sequence[str] | None = None) -> Iterator[Question]:
    """The questions of a scene. `among`: the actions to choose from, by default all of the split.

    `action`: everything its object could do; in `zero_shot` every pair, in the few-shot splits every new action.
    `opposite`: the action or its reversal in time, which shows the same frames in the other order.
    `color`, `shape`: the same sentence about objects that differ in that alone.
    """
    by_action = all_sentences(scene, among or split_actions(split))
    yield Question("action", by_action, scene.action)
    opposite = actions.opposite(scene.action)
    if opposite != scene.action and opposite in by_action:
        yield Question("opposite", {name: by_action[name] for name in (scene.action, opposite)}, scene.action)
    look = scene.target.look
    yield Question("color", {c: _about(scene, replace(look, color=c)) for c in looks.COLORS}, look.color)
    turns = any(part.turns for part in actions.find(scene.action))
    shapes = looks.TURNABLE if turns else looks.SHAPES
    yield Question("shape", {s: _about(scene, replace(look, shape=s)) for s in shapes}, look.shape)


def _about(scene: Scene, look: looks.Look) -> str:
    return sentence(replace(scene, target=replace(scene.target, look=look)))


@dataclass(frozen=True, slots=True)
class ShapesEvaluation(Evaluation):
    """An evaluation whose classes are the actions of a split, and the answers to all other questions beside it.

    Videos have the names of the files that `crossframe shapes render` writes for the same split and seed.
    """

    answers: tuple[Answer, ...]

    def summary(self) -> dict[str, Any]:
        """The accuracies by kind of question, then what every evaluation says, of the question `action`.

        `action`, `opposite`, `color` and `shape` are accuracies in [0, 1] over the clips that can be asked;
        `per_action` and `per_opposite` the same by the action shown; `per_factor` the accuracies, and the number of
        clips, by what is hard about a clip (`shapes.factors`); `mistaken` the most frequent confusions.
        """
        return _summary(self.answers) | Evaluation.summary(self)


@torch.inference_mode()
def evaluate_shapes(
    model: XCLIP,
    split: Split | str = Split.TEST,
    clips: int = 1100,
    *,
    seed: int = 0,
    nuisance: float = 1.0,
    among: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda clips: None,
) -> ShapesEvaluation:
    """Evaluate the first `clips` clips of a split, each written as an H.264 file and read back, on all processes of
    torch.distributed.

    `among`: the actions that these clips show and that can be chosen, by default all of the split. `progress` is called
    with the number of clips done.
    Raises `ValueError` for an unknown split or action, a model without a text encoder, and scores that are not numbers.
    """
    part = parse(split)
    text = TextFeatures(model)
    answers: list[tuple[int, Answer]] = []
    results: list[VideoResult] = []
    labels = split_actions(part) if among is None else tuple(among)
    indices = [index_among(part, labels, number) for number in range(clips)]
    rank, world = this_process()
    for start in range(rank * BATCH, clips, world * BATCH):
        scenes = [draw(part, seed, index, nuisance=nuisance) for index in indices[start : start + BATCH]]
        asked = [(i, question) for i, scene in enumerate(scenes) for question in questions(scene, part, labels)]
        with evaluating(model):
            ranking = _ranked(model, scenes, asked, text)
        for (i, question), ranked in zip(asked, ranking, strict=True):
            answer = Answer(question.kind, scenes[i].action, question.right, ranked[0][0], factors(scenes[i]))
            answers.append((start + i, answer))
            if question.kind == "action":
                results.append(_result(start + i, labels, question.right, ranked))
        progress(min(start + BATCH, clips))
    answers = sorted(from_all_processes(answers), key=lambda numbered: numbered[0])
    results = sorted(from_all_processes(results), key=lambda result: result.index)
    made_with = {
        "data": DATA,
        "world": VERSION,
        "split": str(part),
        "clips": clips,
        "seed": seed,
        "nuisance": nuisance,
        "actions": None if among is None else list(labels),
        "sampling": asdict(Sampling(model.config.num_frames)),
        "weights": fingerprint(model),
        **({} if model.taught.calibration is None else {"temperature": model.taught.calibration.temperature}),
    }
    names = tuple(f"{part}/{index:06d}.mp4" for index in indices)
    return ShapesEvaluation(labels, names, tuple(results), made_with, tuple(answer for _, answer in answers))


def frames_of(scene: Scene, count: int) -> Tensor:
    """The frames of a scene that a model gets, uint8 (T, 3, H, W): those of its file."""
    with TemporaryDirectory() as folder:
        return read_video(write_clip(scene, Path(folder) / "clip.mp4"), num_frames=count).pixels


def _ranked(
    model: XCLIP, scenes: Sequence[Scene], asked: Sequence[tuple[int, Question]], text: TextFeatures
) -> list[list[tuple[str, float]]]:
    """For each question, about scene number i: its words and their scores, best first.

    Where scores tie, the true word counts as worse.
    """
    frames = [frames_of(scene, model.config.num_frames) for scene in scenes]
    features = model.encode_video(model.prepare(frames))
    text.of_texts([words for _, question in asked for words in question.sentences.values()])  # all at once
    fitted = model.taught.calibration
    result: list[list[tuple[str, float]]] = []
    for i, question in asked:
        sentences = text.of_texts([*question.sentences.values()])  # (K, E)
        logits = model.score(features.clip(i), sentences)[0].double()
        scores = (logits if fitted is None else logits / fitted.temperature).softmax(dim=0).tolist()
        if not all(map(isfinite, scores)):
            raise ValueError("the model's scores are not numbers; its weights have diverged")
        pairs = zip(question.sentences, scores, strict=True)
        result.append(sorted(pairs, key=lambda pair: (-pair[1], pair[0] == question.right)))
    return result


def _result(index: int, labels: Sequence[str], right: str, ranked: list[tuple[str, float]]) -> VideoResult:
    top = ranked[:TOP]
    return VideoResult(
        index,
        labels.index(right),
        tuple(labels.index(word) for word, _ in top),
        tuple(score for _, score in top),
        dict(ranked)[right],
    )


def _summary(answers: Sequence[Answer]) -> dict[str, Any]:
    kinds = dict.fromkeys(answer.kind for answer in answers)
    return {
        **{kind: _accuracy(a for a in answers if a.kind == kind) for kind in kinds},
        **{f"per_{kind}": _by_action(answers, kind) for kind in ("action", "opposite")},
        "per_factor": {name: found for name in FACTORS if (found := _with_factor(answers, name))},
        "mistaken": [
            {"shown": right, "said": said, "clips": count}
            for (right, said), count in Counter(
                (a.right, a.said) for a in answers if a.kind == "action" and a.right != a.said
            ).most_common(12)
        ],
    }


def _by_action(answers: Sequence[Answer], kind: str) -> dict[str, float]:
    chosen = [answer for answer in answers if answer.kind == kind]
    return {
        action: _accuracy(a for a in chosen if a.action == action) for action in dict.fromkeys(a.action for a in chosen)
    }


def _with_factor(answers: Sequence[Answer], factor: str) -> dict[str, float]:
    chosen = [answer for answer in answers if factor in answer.factors]
    kinds = dict.fromkeys(answer.kind for answer in chosen)
    shares = {kind: _accuracy(answer for answer in chosen if answer.kind == kind) for kind in kinds}
    return {"clips": sum(answer.kind == "action" for answer in chosen), **shares} if chosen else {}


def _accuracy(answers: Iterable[Answer]) -> float:
    right = [answer.right == answer.said for answer in answers]
    return sum(right) / len(right)
