"""Where training batches and test scores come from: generated stills, generated clips, or files, which are checked
before anything is decoded."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from crossframe.data.batch import TrainBatch, classification
from crossframe.data.clip import check_apart
from crossframe.data.drawn import Clips, Stills, read_batches
from crossframe.data.layouts import split_named
from crossframe.data.loader import TrainLoader
from crossframe.data.manifest import Manifest, no_split, read_manifest
from crossframe.data.reader import Sampling
from crossframe.data.seen import join, marks, seen
from crossframe.data.split import few_shot, hold_out
from crossframe.distributed import from_all_processes, this_process
from crossframe.evaluate.evaluate import Setting, evaluate_manifest, scoring_of
from crossframe.evaluate.result import MultiLabelEvaluation
from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.evaluate.statistics import TOP
from crossframe.inference import evaluating, label_features
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import ClipData, FileData, Recipe, StillData
from crossframe.shapes.splits import Split, index_among
from crossframe.taught import Taught
from crossframe.text.labels import read_descriptions, some, wordings
from crossframe.train.loop import TextCache
from crossframe.train.schedule import batches_of_epoch
from crossframe.video.given import Limits, limited

Scores = dict[str, float]


class TrainingSource(Protocol):
    """An endless sequence of training batches, which depends on seeds alone, and a test.

    Each of several processes gets its share of every batch and of the test; the scores are those of all.
    """

    @property
    def batches_per_epoch(self) -> int: ...

    def batches(self, start: int, stop: int) -> Iterator[TrainBatch]:
        """Batches number `start` to `stop` of the run."""
        ...

    def test(self, model: XCLIP) -> Scores:
        """Scores on held-out clips; the first of them decides which checkpoint is best."""
        ...


def build_source(recipe: Recipe, model: XCLIP, files: ClipFiles | None) -> TrainingSource:
    """The data of a recipe for this model."""
    if isinstance(recipe.data, StillData):
        return _stills(recipe, recipe.data, model)
    if isinstance(recipe.data, ClipData):
        return _clips(recipe, recipe.data, model)
    if files is None:
        raise ValueError(f"recipe '{recipe.name}' needs clips: give a manifest or a folder as data")
    return _file_source(recipe, recipe.data, model, files)


@dataclass(frozen=True, slots=True)
class StillSource:
    """Single frames of Shapes; the scores are the accuracies of all topics but the caption, and their mean."""

    drawn: Stills
    test_batches: tuple[TrainBatch, ...]
    batches_per_epoch: int
    workers: int

    def batches(self, start: int, stop: int) -> Iterator[TrainBatch]:
        return read_batches(self.drawn, range(start, stop), workers=self.workers)

    def test(self, model: XCLIP) -> Scores:
        with evaluating(model):
            parts = from_all_processes(list(_hits(model, self.test_batches)))
        right, total = Counter[str](), Counter[str]()
        for name, hits, clips in parts:
            right[name] += hits
            total[name] += clips
        scores = {name: right[name] / total[name] for name in total}
        return {"mean": sum(scores.values()) / len(scores), **scores}


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Clips of Shapes; the scores are those of `crossframe.evaluate.shapes` on the split `val`."""

    drawn: Clips
    test_clips: int
    batches_per_epoch: int
    workers: int

    def batches(self, start: int, stop: int) -> Iterator[TrainBatch]:
        return read_batches(self.drawn, range(start, stop), workers=self.workers)

    def test(self, model: XCLIP) -> Scores:
        summary = evaluate_shapes(model, "val", self.test_clips, among=self.drawn.actions).summary()
        return {name: summary[name] for name in ("action", "opposite", "color", "shape") if name in summary}


@dataclass(frozen=True, slots=True)
class FileSource:
    """Clips in files, to be classified among the labels of the training split.

    Each batch uses one of the `wordings` of each label, drawn by the batch's number; the test averages all of them.
    """

    loader: TrainLoader
    batches_per_epoch: int
    wordings: tuple[tuple[str, ...], ...]  # of each label
    held_back: Manifest | None
    sampling: Sampling
    workers: int
    limits: Limits

    def as_begun(self, state: Mapping[str, Any]) -> FileSource:
        """With the epochs of a loop's state: those of older runs by the authors' schedule have the last batch, too."""
        every = len(self.loader)
        return replace(self, batches_per_epoch=every) if state.get("batches", every) == every else self

    def batches(self, start: int, stop: int) -> Iterator[TrainBatch]:
        manifest = self.loader.manifest
        classes = manifest.all_targets() if manifest.several else None
        while start < stop:
            epoch, within = divmod(start, self.batches_per_epoch)
            for number, batch in enumerate(self.loader.epoch(epoch, within, self.batches_per_epoch), start):
                yield classification(batch, self._wording(number), classes)
            start = (epoch + 1) * self.batches_per_epoch

    def _wording(self, number: int) -> tuple[str, ...]:
        drawn = random.Random(f"{self.loader.seed}/{number}").getrandbits(32)
        return tuple(said[drawn % len(said)] for said in self.wordings)  # of an ensemble, the same for all

    def test(self, model: XCLIP) -> Scores:
        if self.held_back is None:
            return {}
        setting = Setting(self.sampling)
        scoring = scoring_of(model, self.held_back.labels, setting, several=self.held_back.several)
        with evaluating(model):
            text = label_features(model, [*self.wordings, *scoring.labels.background])
        with limited(self.limits):
            result = evaluate_manifest(model, self.held_back, setting, text=text, workers=self.workers)
        if isinstance(result, MultiLabelEvaluation):
            return {"mean_ap": result.mean_ap, "top1": result.counts.top1}
        scores = {"top1": result.counts.top1, "top5": result.counts.top5}
        if len(self.held_back.labels) <= TOP:  # where it is always right
            del scores["top5"]
        return scores


def _stills(recipe: Recipe, data: StillData, model: XCLIP) -> StillSource:
    train = recipe.train
    size = data.render_size or model.config.vision.image_size
    rank, world = this_process()
    if world > 1 and "caption" in data.topics:
        raise ValueError("data.topics has 'caption', which compares all frames of a batch; train in one process")
    drawn = Stills("stills", data.seed, train.batch_size, size, data.topics, data.nuisance, (rank, world))
    topics = tuple(topic for topic in data.topics if topic != "caption") or ("look",)
    test = replace(drawn, split="stills_test", topics=topics, batch_size=min(64, data.test_clips), process=(0, 1))
    test_batches = tuple(test.batch(number) for number in range(rank, -(-data.test_clips // test.batch_size), world))
    return StillSource(drawn, test_batches, data.batches_per_epoch, train.workers)


def _clips(recipe: Recipe, data: ClipData, model: XCLIP) -> ClipSource:
    train = recipe.train
    size = data.render_size or model.config.vision.image_size
    frames, each = model.config.num_frames, data.clips_per_object
    drawn = Clips("train", data.seed, train.batch_size, size, frames, each, data.nuisance, this_process())
    if data.actions is not None:
        index_among(Split.TRAIN, data.actions, 0)  # says which is unknown
        drawn = replace(drawn, actions=data.actions)
    return ClipSource(drawn, data.test_clips, data.batches_per_epoch, train.workers)


def _file_source(recipe: Recipe, data: FileData, model: XCLIP, files: ClipFiles) -> FileSource:
    train = recipe.train
    sampling = Sampling(model.config.num_frames, data.sampling)
    with limited(data.limits):
        loader = TrainLoader(
            files.train,
            replace(sampling, official=not data.tail),
            train.batch_size,
            seed=train.seed,
            short_side=model.preprocess.short_side,
            workers=train.workers,
            process=this_process(),
        )
    batches = batches_of_epoch(len(files.train), train.batch_size, train.schedule)
    return FileSource(loader, batches, files.wordings, files.test, sampling, train.workers, data.limits)


@torch.inference_mode()
def _hits(model: XCLIP, batches: tuple[TrainBatch, ...]) -> Iterator[tuple[str, int, int]]:
    """For each task of each batch: its name, the clips classified right, and the clips that have a target."""
    texts = TextCache(model)
    for batch in batches:
        features = model.encode_video(model.prepare(batch.clips.videos))
        for task in batch.tasks:
            tokens, text = texts(task.texts)
            text = model.encode_text(tokens) if tokens is not None else text
            best = model.score(features, text).argmax(dim=1).cpu()  # (B,)
            hits = task.targets.gather(1, best.unsqueeze(1)) > 0
            yield task.name, int(hits.sum()), int((task.targets.sum(dim=1) > 0).sum())


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """Clips to train on, clips to test on, if there are any, and all wordings of each label."""

    train: Manifest
    test: Manifest | None
    wordings: tuple[tuple[str, ...], ...]
    descriptions: Mapping[str, tuple[str, ...]] | None = None

    def digest(self) -> str:
        """Digits that change with the clips, their splits and their labels."""
        return " ".join(part.digest()[:16] for part in (self.train, self.test) if part is not None)

    def lesson(self, data: FileData, before: Taught) -> Taught:
        """The record that training on them leaves in the checkpoint, beside what the weights were taught `before`.

        A run that goes on keeps the labels and words that it began with; clips that its lists have by now are added.
        """
        if before.labels:
            return replace(before, clips=join([before.clips, marks(self.train)]))
        return replace(
            before,
            labels=self.train.labels,
            template=data.template,
            descriptions=self.descriptions,
            sampling=data.sampling,
            clips=join([before.clips, marks(self.train)]),
        )

    def learned(self, known: NDArray[np.void] | None) -> list[bool]:
        """Which of the clips to test on are among those that are `known`, by their content (`data.seen`)."""
        return [] if self.test is None else seen(marks(self.test), known).tolist()

    def tested_on_others(self, learned: Sequence[bool]) -> ClipFiles:
        """The same without those clips to test on that were `learned`, which it says."""
        if self.test is None or not any(learned):
            return self
        kept = [clip for clip, out in zip(self.test.clips, learned, strict=True) if not out]
        count, nothing = len(self.test) - len(kept), "" if kept else ", and so nothing is tested"
        log.warning(
            "%d of %d clips to test with had been learned before the lists changed, and are left out%s",
            count,
            len(self.test),
            nothing,
        )
        return replace(self, test=self.test.keep(kept) if kept else None)


def _held_out(data: FileData, manifest: Manifest) -> tuple[Manifest, Manifest]:
    """(training, test) of clips that nobody has divided."""
    try:
        train, test = hold_out(manifest, data.hold_out, data.draw)
    except ValueError as error:
        raise ValueError(f"{data.source}: {error}, or train on all clips with --hold-out 0") from None
    log.warning(
        "%d of %d clips are held out to test with, all of a recording together; --hold-out 0 trains on all",
        len(test),
        len(manifest),
    )
    return train, test


def read_clip_files(recipe: Recipe) -> ClipFiles | None:
    """The manifests of a recipe, checked; None where its clips are generated. No clip is decoded."""
    data = recipe.data
    if not isinstance(data, FileData):
        return None
    if data.source is None:
        raise ValueError(f"recipe '{recipe.name}' needs clips: give a manifest or a folder as data")
    everything = read_manifest(data.source, None, data.labels, data.root, contained=data.contained)
    splits = {clip.split for clip in everything.clips}
    undivided = splits == {""} and data.train_split == FileData.train_split
    split = None if undivided else data.train_split
    if split is not None and split_named(split) not in splits:
        raise no_split(data.source, split, splits, "choose one with --set data.train_split=")
    given = None if data.labels is None else everything.labels
    train, test = everything if split is None else everything.of_split(split, given), None
    if never := [label for label, count in train.counts().items() if not count]:
        log.warning(
            "%d of %d classes have no clip, and are not learned: %s", len(never), len(train.labels), some(never)
        )
    if len(train.labels) < 2:
        raise ValueError(f"{data.source} has clips of one class, '{some(train.labels)}'; give those of two or more")
    if train.several and recipe.train.loss == "softmax":
        first = next(clip for clip in train.clips if len(clip.labels) > 1)
        raise ValueError(
            f"{data.source} has clips with several labels, {first.name} has {first.label!r}, and a softmax knows one; "
            "train with --set train.loss=sigmoid"
        )
    if data.classes is not None and len(train.labels) != data.classes:
        raise ValueError(
            f"{data.source} has {len(train.labels)} classes, and recipe '{recipe.name}' is for {data.classes}; give "
            f"all of them with --set data.labels=FILE, or change that with --set data.classes={len(train.labels)}"
        )
    if undivided and data.hold_out:
        train, test = _held_out(data, train)
    elif split_named(data.test_split) in splits:
        test = everything.of_split(data.test_split, train.labels)
        if shared := check_apart([*train.clips, *test.clips], everything.root):
            log.warning("%s: %s", data.source, shared)
    elif split is not None and data.test_split != "none":
        log.warning("%s has no split '%s', and so nothing is tested", data.source, data.test_split)
    if data.shots is not None:
        train = few_shot(train, data.shots, data.draw)
    said = None if data.descriptions is None else read_descriptions(data.descriptions)
    return ClipFiles(train, test, tuple(wordings(train.labels, data.template, said)), said)
