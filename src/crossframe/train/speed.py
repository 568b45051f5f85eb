"""How fast this device trains: a few steps of the real loop, on clips of noise."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from crossframe.data.batch import Batch, TrainBatch, make_task
from crossframe.distributed import Processes
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Recipe
from crossframe.train.assemble import build_loop

SECONDS, STEPS = 8.0, 6  # whichever comes first is enough
MANY = 1000  # steps, more than are ever taken
GROWTH = 4  # clips of a step against those of the one before, while steps are short


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured: clips a second, over `steps` steps of `clips` clips."""

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
    once = {"epochs": 1, "warmup_epochs": 0.0, "accumulate": 1, "average": None}
    alone = recipe.model_copy(update={"train": recipe.train.model_copy(update=once)})
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
