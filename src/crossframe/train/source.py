"""Where lessons come from, by the recipe's section `data`, and how well the model does on what it was not taught."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from crossframe.data.generated import Clips, Stills, read_lessons
from crossframe.data.layouts import split_named
from crossframe.data.loader import TrainLoader
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.data.overlap import check_apart, some
from crossframe.data.question import Lesson, among_labels
from crossframe.data.sampling import Sampling
from crossframe.data.split import few_shot
from crossframe.evaluate.processes import from_all_processes, this_process
from crossframe.evaluate.run import Setting, evaluate_manifest
from crossframe.evaluate.scoring import evaluating, label_features
from crossframe.evaluate.shapes import ask
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import ClipData, FileData, Recipe, StillData
from crossframe.shapes.splits import Split, index_among
from crossframe.text.descriptions import read_descriptions
from crossframe.text.templates import wordings
from crossframe.train.learner import Sentences

log = logging.getLogger(__name__)

Scores = dict[str, float]


class Source(Protocol):
    """Lessons in a fixed order that depends on seeds alone, without an end, and a test.

    Of many processes each gets its share of every lesson and of the test; the scores are those of all.
    """

    @property
    def batches(self) -> int:
        """Lessons in an epoch."""
        ...

    def lessons(self, start: int, stop: int) -> Iterator[Lesson]:
        """Lessons number `start` to `stop` of the run."""
        ...

    def test(self, model: XCLIP) -> Scores:
        """How good the model is, on clips of its own; the first score decides which checkpoint is best."""
        ...


@dataclass(frozen=True, slots=True)
class Films:
    """Clips in files: those to train on, those to test with, if there are any, and all that is said for each label."""

    train: Manifest
    test: Manifest | None
    wordings: tuple[tuple[str, ...], ...]


def read_films(recipe: Recipe) -> Films | None:
    """The manifests of a recipe, checked; None where it draws its clips. No clip is decoded."""
    data = recipe.data
    if not isinstance(data, FileData):
        return None
    if data.source is None:
        raise ValueError(f"recipe '{recipe.name}' needs clips: give a manifest or a folder as data")
    splits = {clip.split for clip in read_manifest(data.source, None, data.labels, data.root).clips}
    undivided = splits == {""} and data.train_split == FileData.model_fields["train_split"].default
    split = None if undivided else data.train_split
    train = read_manifest(data.source, split, data.labels, data.root).require_every_class()
    if len(train.labels) < 2:
        raise ValueError(f"{data.source} has clips of one class, '{some(train.labels)}'; give those of two or more")
    if data.classes is not None and len(train.labels) != data.classes:
        raise ValueError(
            f"{data.source} has {len(train.labels)} classes, and recipe '{recipe.name}' is for {data.classes}; give "
            f"all of them with --set data.labels=FILE, or change that with --set data.classes={len(train.labels)}"
        )
    test = None
    if split_named(data.test_split) in splits:
        test = read_manifest(data.source, data.test_split, train.labels, data.root)
        if shared := check_apart(clip for part in (train, test) for clip in part.clips):
            log.warning("%s: %s", data.source, shared)
    elif split is not None:
        log.warning("%s has no split '%s', and so nothing is tested", data.source, data.test_split)
    if data.shots is not None:
        train = few_shot(train, data.shots, data.draw)
    descriptions = None if data.descriptions is None else read_descriptions(data.descriptions)
    return Films(train, test, tuple(wordings(train.labels, data.template, descriptions)))


def open_source(recipe: Recipe, model: XCLIP, films: Films | None) -> Source:
    """The data of a recipe for this model."""
    if isinstance(recipe.data, StillData):
        return _stills(recipe, recipe.data, model)
    if isinstance(recipe.data, ClipData):
        return _clips(recipe, recipe.data, model)
    if films is None:
        raise ValueError(f"recipe '{recipe.name}' needs clips: give a manifest or a folder as data")
    return _films(recipe, recipe.data, model, films)


@dataclass(frozen=True, slots=True)
class StillSource:
    """Single frames of Shapes; the scores are the accuracies of all topics but the caption, and their mean."""

    drawn: Stills
    exam: tuple[Lesson, ...]
    batches: int
    workers: int

    def lessons(self, start: int, stop: int) -> Iterator[Lesson]:
        return read_lessons(self.drawn, range(start, stop), workers=self.workers)

    def test(self, model: XCLIP) -> Scores:
        with evaluating(model):
            parts = from_all_processes(list(_hits(model, self.exam)))
        right, asked = Counter[str](), Counter[str]()
        for name, hits, clips in parts:
            right[name] += hits
            asked[name] += clips
        scores = {name: right[name] / asked[name] for name in asked}
        return {"mean": sum(scores.values()) / len(scores), **scores}


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Clips of Shapes; the scores are those of `crossframe.evaluate.shapes` on the split `val`."""

    drawn: Clips
    test_clips: int
    batches: int
    workers: int

    def lessons(self, start: int, stop: int) -> Iterator[Lesson]:
        return read_lessons(self.drawn, range(start, stop), workers=self.workers)

    def test(self, model: XCLIP) -> Scores:
        summary = ask(model, "val", self.test_clips, among=self.drawn.actions).summary()
        return {name: summary[name] for name in ("action", "opposite", "colour", "shape") if name in summary}


@dataclass(frozen=True, slots=True)
class FileSource:
    """Clips in files, with the labels of the training split as the one question.

    Each lesson asks in one of the `wordings` of each label, by its number; the test averages all of them.
    """

    loader: TrainLoader
    wordings: tuple[tuple[str, ...], ...]  # of each label
    held_back: Manifest | None
    sampling: Sampling
    workers: int

    @property
    def batches(self) -> int:
        return len(self.loader)

    def lessons(self, start: int, stop: int) -> Iterator[Lesson]:
        while start < stop:
            epoch, within = divmod(start, self.batches)
            for number, batch in enumerate(self.loader.epoch(epoch, within), start):
                yield among_labels(batch, self._wording(number))
            start = (epoch + 1) * self.batches

    def _wording(self, lesson: int) -> tuple[str, ...]:
        drawn = random.Random(f"{self.loader.seed}/{lesson}").getrandbits(32)
        return tuple(said[drawn % len(said)] for said in self.wordings)  # of an ensemble, the same for all

    def test(self, model: XCLIP) -> Scores:
        if self.held_back is None:
            return {}
        with evaluating(model):
            text = label_features(model, self.wordings)
        result = evaluate_manifest(model, self.held_back, Setting(self.sampling), text=text, workers=self.workers)
        return {"top1": result.counts.top1, "top5": result.counts.top5}


def _stills(recipe: Recipe, data: StillData, model: XCLIP) -> StillSource:
    train = recipe.train
    size = data.render_size or model.config.vision.image_size
    rank, world = this_process()
    if world > 1 and "caption" in data.topics:
        raise ValueError("data.topics has 'caption', which compares all frames of a batch; train in one process")
    drawn = Stills("stills", data.seed, train.batch_size, size, data.topics, data.nuisance, (rank, world))
    asked = tuple(topic for topic in data.topics if topic != "caption") or ("look",)
    test = replace(drawn, split="stills_test", topics=asked, batch_size=min(64, data.test_clips), process=(0, 1))
    exam = tuple(test.lesson(number) for number in range(rank, -(-data.test_clips // test.batch_size), world))
    return StillSource(drawn, exam, data.batches_per_epoch, train.workers)


def _clips(recipe: Recipe, data: ClipData, model: XCLIP) -> ClipSource:
    train = recipe.train
    size = data.render_size or model.config.vision.image_size
    frames, each = model.config.num_frames, data.clips_per_object
    drawn = Clips("train", data.seed, train.batch_size, size, frames, each, data.nuisance, this_process())
    if data.actions is not None:
        index_among(Split.TRAIN, data.actions, 0)  # says which is unknown
        drawn = replace(drawn, actions=data.actions)
    return ClipSource(drawn, data.test_clips, data.batches_per_epoch, train.workers)


def _films(recipe: Recipe, data: FileData, model: XCLIP, films: Films) -> FileSource:
    train = recipe.train
    sampling = Sampling(model.config.num_frames, data.sampling)
    official = train.official and data.sampling == "sparse"
    loader = TrainLoader(
        films.train,
        replace(sampling, official=official),
        train.batch_size,
        seed=train.seed,
        short_side=getattr(model.preprocess, "short_side", None),
        workers=train.workers,
        process=this_process(),
    )
    return FileSource(loader, films.wordings, films.test, sampling, train.workers)


@torch.inference_mode()
def _hits(model: XCLIP, lessons: tuple[Lesson, ...]) -> Iterator[tuple[str, int, int]]:
    """Each question's name, right answers and clips asked."""
    sentences = Sentences(model)
    for lesson in lessons:
        features = model.encode_video(model.prepare(lesson.batch.videos))
        for question in lesson.questions:
            tokens, text = sentences(question.texts)
            text = model.encode_text(tokens) if tokens is not None else text
            best = model.score(features, text).argmax(dim=1).cpu()  # (B,)
            hits = question.targets.gather(1, best.unsqueeze(1)) > 0
            yield question.name, int(hits.sum()), int((question.targets.sum(dim=1) > 0).sum())
