"""A run before it begins: what it trains, what it costs, and how long it may take here. No video is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import with_sources
from crossframe.recipes.schema import FileData, Recipe
from crossframe.train.assemble import set_up
from crossframe.train.build import sketch_model, sketch_weights, stays_near
from crossframe.train.cost import multiply_accumulates, parameters
from crossframe.train.launch import launch, this_rank
from crossframe.train.memory import Estimate, drawn_sentences, estimate_memory
from crossframe.train.probe import Speed, measure
from crossframe.train.schedule import Schedule
from crossframe.train.source import Films, read_films


@dataclass(frozen=True, slots=True)
class Plan:
    """What a dry run finds out: at once what is in here, and after a while what its methods measure.

    `clips` of an epoch and `labels` to tell apart are those of `films`, or else those that the recipe expects; drawn
    clips have sentences in the place of labels.
    """

    recipe: Recipe
    model: XCLIP  # without values, as the next
    pretrained: XCLIP | None  # that training must stay near
    films: Films | None
    clips: int
    labels: tuple[str, ...]
    learning: int  # parameters
    frozen: int
    schedule: Schedule
    macs: int  # of a clip
    fabric: Fabric

    def memory(self) -> Estimate:
        """What a step takes on this device."""
        return estimate_memory(self.recipe, self.model, self.labels, self.fabric.device, pretrained=self.pretrained)

    def speed(self, memory: Estimate) -> Speed | None:
        """From a few steps on noise, with no more clips than fit; None where not even one does."""
        fitting = memory.fitting
        if not fitting:
            return None
        return measure(self.recipe, self.model, self.labels, fitting, self.fabric, self.pretrained)

    def hours(self, speed: Speed) -> float:
        """Of training alone, if every step is as fast as those that were measured."""
        return self.clips * self.schedule.epochs / speed.clips_per_second / 3600


def plan(recipe: Recipe, init: str | Path | None = None, data: str | Path | None = None) -> Plan:
    """What training as `recipe` says would be; `init` and `data` take the place of the recipe's own.

    Raises ValueError, in one line, for what would keep the run from beginning.
    """
    if this_rank()[1] > 1:
        raise ValueError("a dry run is of one process; leave torchrun out")
    recipe = with_sources(recipe, init, data)
    asked = recipe.train
    films = read_films(recipe) if isinstance(recipe.data, FileData) and recipe.data.source is not None else None
    clips, batches, labels = _epoch(recipe, films)
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    near = stays_near(recipe)
    model = sketch_model(recipe.model, recipe.init, len(labels))
    set_up(recipe, model)
    learning, frozen = parameters(model)
    labels = labels or drawn_sentences(recipe, model)
    return Plan(
        recipe=recipe,
        model=model,
        pretrained=None if near is None else sketch_weights(near),
        films=films,
        clips=clips,
        labels=labels,
        learning=learning,
        frozen=frozen,
        schedule=Schedule(asked.epochs, batches, asked.warmup_epochs, asked.accumulate, asked.official),
        macs=multiply_accumulates(model, len(labels)),
        fabric=launch(asked, []),
    )


def _epoch(recipe: Recipe, films: Films | None) -> tuple[int, int, tuple[str, ...]]:
    """Clips and batches of an epoch, and labels; without clips, those that the recipe expects."""
    data, size = recipe.data, recipe.train.batch_size
    if not isinstance(data, FileData):
        return data.batches_per_epoch * size, data.batches_per_epoch, ()
    if films is not None:
        return len(films.train), math.ceil(len(films.train) / size), films.train.labels
    classes = data.classes or 0
    clips = (data.shots or 0) * classes or data.clips or 0
    if not classes or not clips:
        raise ValueError(
            f"recipe '{recipe.name}' does not say how many clips and classes it is for: give a manifest or a folder "
            "with --data"
        )
    # about as long as labels are
    return clips, math.ceil(clips / size), tuple(f"doing activity {number}" for number in range(classes))
