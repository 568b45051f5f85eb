"""A dry run: what would be trained, its cost, and how long it may take, by a few steps on noise. No video is read.

For a device that is not here, and for a model too large to be timed here, the arithmetic of a step is counted on
tensors without values. What a device makes of it is told by a published rate, or by steps of the same model with one
and two blocks in each tower, on few frames.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from crossframe.data.batch import Batch, TrainBatch, make_task
from crossframe.distributed import Processes
from crossframe.model.xclip import XCLIP
from crossframe.processes import launched
from crossframe.recipes.load import with_sources
from crossframe.recipes.schema import FileData, Recipe
from crossframe.train.build import build_loop, meta_model, meta_weights, prepare_model
from crossframe.train.gpus import Cluster
from crossframe.train.launch import launch, with_precision
from crossframe.train.memory import (
    Estimate,
    batch_of,
    drawn_texts,
    estimate_memory,
    multiply_accumulates,
    parameters,
    step_flops,
)
from crossframe.train.objective import pretrained_source
from crossframe.train.schedule import Schedule, batches_of_epoch
from crossframe.train.source import ClipFiles, read_clip_files


@dataclass(frozen=True, slots=True)
class DryRun:
    """A planned run: fields for all that is known at once, methods for all that takes a while to find out.

    `clips` of an epoch and `labels` are those of `files`, or else those that the recipe expects; generated clips have
    sentences in place of labels.
    """

    recipe: Recipe
    model: XCLIP  # on the meta device
    pretrained: XCLIP | None  # likewise; see `train.objective.pretrained_source`
    files: ClipFiles | None
    clips: int
    labels: tuple[str, ...]
    learning: int  # trained parameters
    frozen: int  # others
    schedule: Schedule
    macs: int  # of a clip
    fabric: Fabric
    like: Cluster | None = None  # devices that are not here

    def memory(self) -> Estimate:
        """The memory that a step takes on this device, or on each of those that are not here."""
        device, count = self.fabric.device, self.like.count if self.like else 1
        found = estimate_memory(self.recipe, self.model, self.labels, device, count, self.pretrained)
        return replace(found, free=int(self.like.device.memory * 1e9)) if self.like else found

    def speed(self, memory: Estimate) -> Speed | None:
        """Measured in a few steps on noise, with no more clips than fit; None where not even one does.

        On a processor, large models are timed by their parts (`extrapolated`), and devices that are not here
        by their published rates.
        """
        fitting = memory.fitting
        if not fitting:
            return None
        if self.like is None and (self.fabric.device.type != "cpu" or self.macs < LARGE):
            return measure(self.recipe, self.model, self.labels, fitting, self.fabric, self.pretrained)
        train = self.recipe.train
        flops = step_flops(self.model, train, batch_of(self.model, self.labels, fitting), self.pretrained)
        if self.like:
            return Speed(self.like.clips_per_second(train, flops / fitting), 0, fitting)
        return Speed(fitting / self._seconds(flops), 0, fitting)

    def _seconds(self, flops: int) -> float:
        """Seconds of a step of so many operations, from steps of two shallow models."""
        seconds, operations = list[float](), list[int]()
        for layers in (1, 2):
            model = shallow(self.recipe, self.model, layers)
            near = None if self.pretrained is None else shallow(self.recipe, self.pretrained, layers)
            one = batch_of(model, self.labels, 1)
            operations.append(step_flops(model, self.recipe.train, one, near))
            seconds.append(1 / measure(self.recipe, model, self.labels, 1, self.fabric, near).clips_per_second)
        return extrapolated((seconds[0], seconds[1]), (operations[0], operations[1]), flops)

    def hours(self, speed: Speed) -> float:
        """Hours of training, tests not included, if every step is as fast as those measured."""
        steps = self.schedule.steps_per_epoch * self.schedule.accumulate  # the authors' leave some clips out
        clips = min(self.clips, steps * self.recipe.train.batch_size)
        return clips * self.schedule.epochs / speed.clips_per_second / 3600


def dry_run(
    recipe: Recipe, init: str | Path | None = None, data: str | Path | None = None, like: Cluster | None = None
) -> DryRun:
    """Find out what training by `recipe` would be; `init` and `data` replace the recipe's own, `like` its devices.

    Raises ValueError, in one line, for what would keep the run from starting.
    """
    if launched()[1] > 1:
        raise ValueError("a dry run is of one process; leave torchrun out")
    recipe = with_sources(recipe, init, data)
    recipe = with_precision(recipe) if like is None else like.with_precision(recipe)
    train = recipe.train
    files = read_clip_files(recipe) if isinstance(recipe.data, FileData) and recipe.data.source is not None else None
    clips, batches, labels = _epoch(recipe, files)
    if train.threads is not None:
        torch.set_num_threads(train.threads)
    source = pretrained_source(recipe)
    model = meta_model(recipe.model, recipe.init, len(labels))
    prepare_model(recipe, model)
    learning, frozen = parameters(model)
    labels = labels or drawn_texts(recipe, model)
    return DryRun(
        recipe=recipe,
        model=model,
        pretrained=None if source is None else meta_weights(source),
        files=files,
        clips=clips,
        labels=labels,
        learning=learning,
        frozen=frozen,
        schedule=Schedule(train.epochs, batches, train.warmup_epochs, train.accumulate, train.schedule),
        macs=multiply_accumulates(model, len(labels)),
        fabric=launch(train, []),
        like=like,
    )


def _epoch(recipe: Recipe, files: ClipFiles | None) -> tuple[int, int, tuple[str, ...]]:
    """Clips and batches of an epoch, and the labels; without files, those that the recipe expects."""
    data, size = recipe.data, recipe.train.batch_size
    if not isinstance(data, FileData):
        return data.batches_per_epoch * size, data.batches_per_epoch, ()
    if files is not None:
        return len(files.train), batches_of_epoch(len(files.train), size, recipe.train.schedule), files.train.labels
    classes = data.classes or 0
    clips = (data.shots or 0) * classes or data.clips or 0
    if not classes or not clips:
        raise ValueError(
            f"recipe '{recipe.name}' does not say how many clips and classes it is for: give a manifest or a folder "
            "with --data"
        )
    # about as long as labels are
    labels = tuple(f"doing activity {number}" for number in range(classes))
    return clips, batches_of_epoch(clips, size, recipe.train.schedule), labels


SECONDS, STEPS = 8.0, 6  # whichever comes first is enough
FRAMES = 2  # of shallow models: time grows with their number
LARGE = 20e9  # multiply-accumulates of a clip, of which a processor takes seconds to learn
MANY = 1000  # steps, more than are ever taken
GROWTH = 4  # clips of a step against those of the one before, while steps are short


@dataclass(frozen=True, slots=True)
class Speed:
    """Clips a second, measured over `steps` steps of `clips` clips; of 0 steps it is not measured but estimated."""

    clips_per_second: float
    steps: int
    clips: int


def measure(
    recipe: Recipe, model: XCLIP, texts: Sequence[str], most: int, fabric: Fabric, pretrained: XCLIP | None = None
) -> Speed:
    """The speed of training on `fabric`'s device, with at most `most` clips at a time.

    `model` and `pretrained` (see `train.objective.pretrained_source`) are on the meta device and get random values.
    The first step, of one clip, is a warm-up; then steps grow until they are long enough to be timed. Reading files is
    not included.
    """
    model = _randomized(model, fabric.device)
    near = None if pretrained is None else _randomized(pretrained, fabric.device)
    alone = replace(recipe, train=replace(recipe.train, epochs=1, warmup_epochs=0.0, accumulate=1, average=None))
    noise = _Noise(model, tuple(texts))
    spent, done, steps = 0.0, 0, 0
    started = time.perf_counter()
    for report in build_loop(alone, model, MANY, fabric, Processes(), near).run(noise.batches()):
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        now = time.perf_counter()
        grows = noise.clips < most and now - started < SECONDS / 2 / GROWTH
        if report.step == 0 or grows:
            spent, done, steps = 0.0, 0, 0
        else:
            spent, done, steps = spent + now - started, done + report.clips, steps + 1
        if spent >= SECONDS or steps >= STEPS:
            break
        if grows:
            noise.clips = min(most, noise.clips * GROWTH)
        started = now
    return Speed(done / spent, steps, noise.clips)


def _randomized(model: XCLIP, device: torch.device) -> XCLIP:
    model = model.to_empty(device=device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
    return model


class _Noise:
    """Clips of random pixels, `clips` of them in the next batch, of the size that a loader would give."""

    def __init__(self, model: XCLIP, texts: tuple[str, ...]) -> None:
        self.clips = 1
        self._texts = texts
        size = model.config.vision.image_size
        shown = model.preprocess.short_side
        self._shape = (model.config.num_frames, 3, shown or size, (shown or size) * 4 // 3)

    def batches(self) -> Iterator[TrainBatch]:
        pixels = torch.empty(0)
        while True:
            if len(pixels) != self.clips:  # drawn once for each size: that takes longer than a GPU's step
                pixels = torch.randint(0, 256, (self.clips, *self._shape), dtype=torch.uint8)
            places = torch.arange(self.clips)
            true = [[self._texts[int(place) % len(self._texts)]] for place in places]
            task = make_task("noise", true, self._texts)
            yield TrainBatch(Batch(pixels, torch.zeros_like(places), places), (task,))


def shallow(recipe: Recipe, model: XCLIP, layers: int) -> XCLIP:
    """The same model on the meta device with so many blocks in each tower, for few frames."""
    config = model.config
    text = config.text and replace(config.text, layers=min(layers, config.text.layers))
    vision = replace(config.vision, layers=min(layers, config.vision.layers))
    config = replace(config, vision=vision, text=text, num_frames=min(FRAMES, config.num_frames))
    with torch.device("meta"):
        cut = XCLIP(config, tokenizer=model.tokenizer, preprocess=model.preprocess)
    prepare_model(recipe, cut)
    return cut


def extrapolated(seconds: tuple[float, float], flops: tuple[int, int], whole: int) -> float:
    """Seconds of a step of `whole` operations, from those of two smaller ones: a part that is the same, and a rate."""
    (short, long), (few, many) = seconds, flops
    steeper = long - short > long / 10  # or else noise is as large as what is looked for
    rate = (many - few) / (long - short) if steeper and many > few else many / long
    return max(short, short + (whole - few) / rate)
