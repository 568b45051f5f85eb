"""The schedule of a run: epochs, steps and micro-batches, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossframe.recipes.schema import Course


def batches_of_epoch(clips: int, batch_size: int, course: Course) -> int:
    """Micro-batches of an epoch over `clips` clips. The last one may be incomplete; the authors' course leaves it out,
    unless it is the only one.

    >>> [batches_of_epoch(102, 64, course) for course in ("smooth", "timm", "authors")]
    [2, 2, 1]
    >>> batches_of_epoch(40, 64, "authors")
    1
    """
    if course == "authors":
        return max(clips // batch_size, 1)
    return math.ceil(clips / batch_size)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run of `epochs` with `batches` micro-batches each, of which `accumulate` make an optimizer step.

    The last step of an epoch takes the micro-batches that are left. The learning rate rises linearly during the
    warm-up, then decays by a cosine to its minimum at the last step. Steps and micro-batches count from 0, over the
    whole run.

    The `course` of the rate: `smooth` decays from the end of the warm-up; `timm` by a cosine over the whole run, as in
    that library, so that the rate falls at once to where the cosine is when the warm-up ends. `authors` is timm's in
    their loop, with its faults: each step uses the rate of the batch before it, so that the first two learn nothing
    (the first one, if a step takes several), and an epoch's incomplete last step is dropped.
    """

    epochs: int
    batches: int
    warmup_epochs: float = 0.0
    accumulate: int = 1
    course: Course = "smooth"

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_epochs < self.epochs:
            raise ValueError(f"a warm-up of {self.warmup_epochs} epochs leaves none of {self.epochs}; shorten it")
        if self.steps_per_epoch < 1:
            few = f"{self.batches} batches an epoch are not enough for one step of {self.accumulate}"
            raise ValueError(f"{few}; set train.accumulate lower")

    @property
    def steps_per_epoch(self) -> int:
        whole, rest = divmod(self.batches, self.accumulate)
        return whole + (rest > 0 and self.course != "authors")

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def batches_of(self, step: int) -> range:
        """The micro-batches that a step takes.

        >>> Schedule(epochs=2, batches=5, accumulate=2).batches_of(2), Schedule(2, 5, accumulate=2).batches_of(3)
        (range(4, 5), range(5, 7))
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.accumulate
        return range(epoch * self.batches + first, epoch * self.batches + min(first + self.accumulate, self.batches))

    def rate(self, step: int, base: float, minimum: float) -> float:
        """The learning rate of a step, for parameters whose rate rises to `base` and ends at `minimum`."""
        if self.course == "authors":
            return self._authors_rate(step, base, minimum)
        warmup = round(self.warmup_epochs * self.steps_per_epoch)
        if self.course == "timm":
            rising, start = step + 1 < warmup, 0
        else:
            rising, start = step < warmup, warmup
        return (
            base * (step + 1) / warmup if rising else _cosine((step + 1 - start) / (self.steps - start), base, minimum)
        )

    def _authors_rate(self, step: int, base: float, minimum: float) -> float:
        time = self.batches_of(step - 1)[-1] if step > 0 else 0
        warmup = int(self.warmup_epochs * self.batches)
        if time < warmup:
            return base * time / warmup
        return _cosine(time / (self.epochs * self.batches), base, minimum)


def _cosine(progress: float, base: float, minimum: float) -> float:
    return minimum + (base - minimum) * (1 + math.cos(math.pi * progress)) / 2
