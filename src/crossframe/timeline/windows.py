"""Windows: overlapping stretches of a video, each a clip to be classified, and their frames from one pass.

A window has exactly the frames that `classify` looks at from its start to its end, so that its scores are those of
that stretch. Memory holds the frames that windows to come want, whatever the length of the video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np

from crossframe.pace import figure
from crossframe.taught import FrameRule, Taught
from crossframe.video.decode import Frames
from crossframe.video.exact import open_video
from crossframe.video.given import File, Limits, Readable, Video, VideoError, at_hand, limits_here
from crossframe.video.stretches import Span, read_parts

FRAMES_A_SECOND = 4  # that a window looks at where nothing else says how long it is
STRIDES = 4  # in a window, where no stride is given
DIGITS = 6  # microseconds: 3 * 0.1 s is 0.3 s
SHORTEST = 0.001  # seconds that a video of one frame lasts which does not say it
MOST = 1 << 22  # windows of one video


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of `window` seconds, one every `stride` seconds. Raises ValueError for lengths that are none."""

    window: float
    stride: float

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("stride", self.stride)):
            if not (isfinite(value) and value > 0):
                raise ValueError(f"a {name} of {value:g} seconds is none; give a number above 0")

    @classmethod
    def of(cls, window: float | None, stride: float | None, num_frames: int, taught: Taught) -> Grid:
        """Lengths that were not given follow the model's training: a window is as long as the stretches that it saw, or
        has four frames a second; four strides make a window."""
        length = usual_window(num_frames, taught) if window is None else window
        return cls(length, length / STRIDES if stride is None else stride)

    def check_whole(self) -> None:
        """Raise ValueError where windows leave out what lies between them, which would be told as without a frame."""
        if self.stride > self.window:
            between = f"leaves out what lies between windows of {self.window:g} seconds; give at most that"
            raise ValueError(f"a stride of {self.stride:g} seconds {between}")

    def spans(self, begin: float, end: float) -> Iterator[Span]:
        """The windows from `begin` to `end`, in seconds; the last one ends there, and a longer one is cut to it.

        >>> list(Grid(2.0, 1.0).spans(0.0, 4.5))
        [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (2.5, 4.5)]
        >>> list(Grid(10.0, 1.0).spans(0.0, 4.5))
        [(0.0, 4.5)]
        """
        whole = max(ceil(round((end - begin - self.window) / self.stride, DIGITS)), 0)  # before the last window
        for number in range(whole):
            start = begin + number * self.stride
            yield round(start, DIGITS), round(start + self.window, DIGITS)
        yield round(max(begin, end - self.window), DIGITS), round(end, DIGITS)


def usual_window(num_frames: int, taught: Taught) -> float:
    """Seconds: the median length of the stretches that the model was trained on, or else by its number of frames."""
    if taught.clips is not None:
        lengths = taught.clips["end"].astype(np.float64) - taught.clips["start"]
        if len(lengths) and np.isfinite(median := np.median(lengths)) and median > 0:
            return round(float(median), 2)
    return num_frames / FRAMES_A_SECOND


def read_windows(
    source: File | Readable | Video,
    grid: Grid,
    num_frames: int,
    *,
    sampling: FrameRule = "sparse",
    stream: int | None = None,
    short_side: int | None = None,
    timeout: float | None = None,
) -> Iterator[Frames | VideoError]:
    """The frames of each window of a video, or of a part of it, as they come: `start` and `end` say which it is.

    A window in which no frame is shown gives its error instead. `timeout` are the seconds in which the next window must
    come. Raises VideoError where the video cannot be read.
    """
    here = limits_here()
    limits = here if timeout is None else Limits(timeout, here.memory, here.frames)
    with (
        at_hand(source) as given,
        open_video(given, stream=stream, limits=limits) as video,
    ):
        length = max(video.duration, SHORTEST)
        if video.found.shown and not video.times:
            video.frame_range(0.0, None)  # says what is missing
        begin, end = given.start or 0.0, min(length, given.end or length)
        if begin >= end:
            raise VideoError(f"{given.name}: has no frame from {begin:g} s on; it lasts {figure(length)} s")
        if (end - begin) / grid.stride > MOST:
            raise ValueError(f"a stride of {grid.stride} s makes more than {MOST:,} windows; give a longer one")
        spans = grid.spans(begin, end)
        for part in read_parts(video, spans, num_frames, sampling=sampling, short_side=short_side):
            yield part if isinstance(part, VideoError) else Frames.from_arrays(part)
