"""Whether a run fits into the memory of its device, known before the first step."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Recipe, Train
from crossframe.train.cost import BatchSize, Memory, step_memory
from crossframe.train.source import build_source


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of a step with the recipe's batch, and with a single clip; `free` is what the device has left, None
    where it does not tell."""

    batch: Memory
    one: Memory
    accumulate: int
    processes: int
    free: int | None

    @property
    def each(self) -> float:
        """Bytes for each further clip: memory grows linearly with their number."""
        return (self.batch.total - self.one.total) / max(1, self.batch.clips - 1)

    @property
    def fitting(self) -> int:
        """Clips that fit at a time, 0 if not even one does."""
        if self.free is None or self.batch.total <= self.free:
            return self.batch.clips
        return max(0, 1 + math.floor((self.free - self.one.total) / max(1.0, self.each)))

    @property
    def needs(self) -> str:
        """How much a step takes, and for what, in words."""
        batch = self.batch
        return (
            f"{_size(batch.total)} for {batch.clips} clips at a time: weights {_size(batch.weights)}, optimiser "
            f"{_size(batch.optimizer)}, gradients and activations {_size(batch.passes)}"
        )

    @property
    def room(self) -> str:
        """Whether it fits, and what to do where it does not, in words."""
        if self.free is None:
            return "the device does not say how much is free"
        clips, free = self.batch.clips, f"{_size(self.free)} are free"
        if self.fitting == clips:
            return free
        fits = max((size for size in range(1, self.fitting + 1) if clips % size == 0), default=0)
        if not fits:
            return f"{free}, too little for a single clip, which takes {_size(self.one.total)}"
        size, more = fits * self.processes, self.accumulate * clips // fits
        return f"{free}, enough for {fits}: set train.batch_size={size} and train.accumulate={more}"


def estimate_memory(
    recipe: Recipe,
    model: XCLIP,
    labels: Sequence[str],
    device: torch.device,
    processes: int = 1,
    pretrained: XCLIP | None = None,
) -> Estimate:
    """The memory of a training step in one of `processes`, with these labels, on `device`.

    `model` and `pretrained` (see `train.objective.pretrained_source`) may be on other devices.
    """
    tokens = 0
    if model.tokenizer is not None:
        tokens = int(model.tokenizer(labels).argmax(dim=1).max()) + 1
    batch, one = (
        step_memory(model, recipe.train, BatchSize(clips, len(labels), tokens), device, pretrained)
        for clips in (math.ceil(recipe.train.batch_size / processes), 1)
    )
    free = free_memory(device)
    if free is not None and model.device.type == device.type:
        free += batch.weights  # they are loaded already
    return Estimate(batch, one, recipe.train.accumulate, processes, free)


@contextmanager
def told_when_full(train: Train) -> Generator[None]:
    """Inside, a GPU whose memory is full is a ValueError of one line that says what to set."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU's memory is full with train.batch_size={train.batch_size}; take a smaller one and a larger "
            "train.accumulate, which trains alike, or train.checkpoint_blocks=true (--dry-run says what would fit)"
        ) from error


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free; None where the device does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = Path("/proc/meminfo")
    if device.type != "cpu" or not known.is_file():
        return None
    lines = (line.split() for line in known.read_text(encoding="ascii").splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)


def drawn_texts(recipe: Recipe, model: XCLIP) -> tuple[str, ...]:
    """The texts of the first batch, where batches are generated."""
    data = recipe.data.model_copy(update={"test_clips": 1})
    batch = next(build_source(recipe.model_copy(update={"data": data}), model, None).batches(0, 1))
    return tuple(text for task in batch.tasks for text in task.texts)


def _size(count: float) -> str:
    """Bytes in readable units.

    >>> _size(245_577_455_624), _size(1_052_008), _size(779_716_612)
    ('246 GB', '1.05 MB', '780 MB')
    """
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count / unit:,.0f} {name}"
