"""A dry run: what would be trained, what it costs, and how long it may take here. No video is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from crossframe.model.xclip import XCLIP
from crossframe.processes import launched
from crossframe.recipes.load import with_sources
from crossframe.recipes.schema import FileData, Recipe
from crossframe.train.assemble import prepare_model
from crossframe.train.build import meta_model, meta_weights
from crossframe.train.clip_files import ClipFiles, read_clip_files
from crossframe.train.cost import multiply_accumulates, parameters
from crossframe.train.launch import launch
from crossframe.train.memory import Estimate, drawn_texts, estimate_memory
from crossframe.train.objective import pretrained_source
from crossframe.train.schedule import Schedule
from crossframe.train.speed import Speed, measure


@dataclass(frozen=True, slots=True)
class DryRun:
    """What is known of a run at once, as fields, and what takes a while to find out, as methods.

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

    def memory(self) -> Estimate:
        """The memory that a step takes on this device."""
        return estimate_memory(self.recipe, self.model, self.labels, self.fabric.device, pretrained=self.pretrained)

    def speed(self, memory: Estimate) -> Speed | None:
        """Measured in a few steps on noise, with no more clips than fit; None where not even one does."""
        fitting = memory.fitting
        if not fitting:
            return None
        return measure(self.recipe, self.model, self.labels, fitting, self.fabric, self.pretrained)

    def hours(self, speed: Speed) -> float:
        """Hours of training, tests not included, if every step is as fast as those measured."""
        return self.clips * self.schedule.epochs / speed.clips_per_second / 3600


def dry_run(recipe: Recipe, init: str | Path | None = None, data: str | Path | None = None) -> DryRun:
    """Find out what training by `recipe` would be; `init` and `data` replace the recipe's own.

    Raises ValueError, in one line, for what would keep the run from starting.
    """
    if launched()[1] > 1:
        raise ValueError("a dry run is of one process; leave torchrun out")
    recipe = with_sources(recipe, init, data)
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
        schedule=Schedule(train.epochs, batches, train.warmup_epochs, train.accumulate, train.official),
        macs=multiply_accumulates(model, len(labels)),
        fabric=launch(train, []),
    )


def _epoch(recipe: Recipe, files: ClipFiles | None) -> tuple[int, int, tuple[str, ...]]:
    """Clips and batches of an epoch, and the labels; without files, those that the recipe expects."""
    data, size = recipe.data, recipe.train.batch_size
    if not isinstance(data, FileData):
        return data.batches_per_epoch * size, data.batches_per_epoch, ()
    if files is not None:
        return len(files.train), math.ceil(len(files.train) / size), files.train.labels
    classes = data.classes or 0
    clips = (data.shots or 0) * classes or data.clips or 0
    if not classes or not clips:
        raise ValueError(
            f"recipe '{recipe.name}' does not say how many clips and classes it is for: give a manifest or a folder "
            "with --data"
        )
    # about as long as labels are
    return clips, math.ceil(clips / size), tuple(f"doing activity {number}" for number in range(classes))
