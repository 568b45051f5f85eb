"""One clip from its file, the frames that are asked for: the work of a loader's processes.

What to read comes with each job, so that the processes hold no manifest, however large the data set. Nothing here needs
torch, so that they start quickly and stay small.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from crossframe.taught import FRAME_RULES, FrameRule
from crossframe.video.exact import Decoded, open_video
from crossframe.video.given import Limits, VideoError
from crossframe.video.sample import (
    Wanted,
    dense,
    dense_views,
    evenly_timed,
    segment_length,
    sparse_random,
    sparse_views,
    train_indices,
    view_offsets,
)

Clock: TypeAlias = tuple[Sequence[float], float]  # when each frame is shown, in seconds, and when the last one ends
NO_CLOCK: Clock = ((), 0.0)


@dataclass(frozen=True, slots=True)
class Sampling:
    """T frames of a clip: one from each of T equal parts (`sparse`, the paper's choice), T close together (`dense`), or
    one from each of T equal parts of its time (`time`), which differs where frames do not come at even times.

    Testing takes fixed frames, in each of `views` views; training draws one view at random. With `official`, frames are
    drawn as by the authors' code (`crossframe.video.sample`), where several views of a test are draws, too.
    """

    num_frames: int = 8
    rule: FrameRule = "sparse"
    views: int = 1
    official: bool = False

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.views < 1:
            raise ValueError(f"{self.num_frames} frames in {self.views} views were asked for; use 1 or more")
        if self.rule not in FRAME_RULES:
            raise ValueError(f"sampling {self.rule!r} is unknown; use 'sparse', 'dense' or 'time'")
        if self.official and self.rule != "sparse":
            raise ValueError(f"the authors' code has no {self.rule} sampling; leave official out, or sample sparsely")

    @property
    def draws_tests(self) -> bool:
        """True if a test takes what `train` draws."""
        return self.official and self.views > 1

    def test(self, total: int, clock: Clock = NO_CLOCK) -> list[int]:
        """The frames of all views, one view after the other: views * T indices, the same in every run.

        `clock`: when each of `total` frames is shown, and when the last one ends; without it, `time` is `sparse`.

        >>> Sampling(num_frames=2, views=2).test(16)
        [2, 10, 6, 14]
        """
        times, end = clock
        if self.rule == "time" and len(times) == total:
            parts = [[offset] * self.num_frames for offset in view_offsets(self.views)]
            return [index for part in parts for index in evenly_timed(times, end, self.num_frames, part)]
        choose = dense_views if self.rule == "dense" else sparse_views
        return [index for view in choose(total, self.num_frames, self.views) for index in view]

    def train(self, total: int, generator: random.Random, clock: Clock = NO_CLOCK) -> list[int]:
        """T indices at random places; with `official`, as many for each of the views.

        >>> Sampling(num_frames=8, official=True).train(2, random.Random(0))
        [0, 0, 0, 1, 1, 1, 0, 0]
        """
        if self.official:
            return [index for _ in range(self.views) for index in self._official(total, generator)]
        times, end = clock
        if self.rule == "time" and len(times) == total:
            return evenly_timed(times, end, self.num_frames, [generator.random() for _ in range(self.num_frames)])
        if self.rule == "dense":
            return dense(total, self.num_frames, offset=generator.random())
        return sparse_random(total, self.num_frames, generator)

    def _official(self, total: int, generator: random.Random) -> list[int]:
        length = segment_length(total, self.num_frames)
        draws = [generator.randrange(length) for _ in range(self.num_frames)] if length else ()
        return train_indices(total, self.num_frames, draws)


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to read: its file, its index and its class in the data set.

    `draw`, (seed, epoch), seeds the random draw of its frames; without it they are the fixed frames of testing.
    """

    path: Path
    index: int
    target: int
    start: float | None = None
    end: float | None = None
    draw: tuple[int, int] | None = None


def read_clip(job: Job, sampling: Sampling, short_side: int | None = None, *, limits: Limits | None = None) -> Decoded:
    """The frames that `sampling` chooses, scaled down to `short_side` as they are decoded if they are larger.

    Those of a training clip depend only on (seed, epoch, index), so any clip of any epoch can be read again. `limits`
    are those of `open_video`.

    Raises VideoError for a clip that cannot be read, also where the drive fails: neither must end an epoch.
    """
    try:
        with open_video(job.path, limits=limits) as video:
            whole = job.start is None and job.end is None
            part = None if whole else video.frame_range(job.start, job.end)
            return video.read(_WantedOfJob(video.name, job, sampling, part), short_side=short_side)
    except OSError as error:
        raise VideoError(" ".join(str(error).split())) from error


class _WantedOfJob(Wanted):
    """The frames of one clip in training or testing."""

    def __init__(self, name: str, job: Job, sampling: Sampling, part: tuple[int, int] | None) -> None:
        super().__init__(name, sampling.num_frames, "sparse", (), part)
        self._job = job
        self._sampling_of_job = sampling

    def choose(self, total: int, times: Sequence[float], end: float) -> Sequence[int]:
        job, sampling = self._job, self._sampling_of_job
        if job.draw is None:
            return sampling.test(total, (times, end))
        seed, epoch = job.draw
        return sampling.train(total, random.Random(f"{seed}/{epoch}/{job.index}"), (times, end))
