"""Video without an end: a ring of the last frames, windows as they become full, segments the moment they close.

`Stream` has no threads: whoever has frames pushes them, and gets the segments that this closed. `watch` reads a live
source for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import isfinite
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from crossframe.prediction import Prediction
from crossframe.text.labels import LabelSet
from crossframe.timeline.curves import near
from crossframe.timeline.segments import Segment, Track
from crossframe.timeline.windows import DIGITS, SHORTEST, Grid
from crossframe.video.decode import Frames
from crossframe.video.sample import evenly_timed

Picture = NDArray[np.uint8]  # (H, W, 3)

HISTORY = 300.0  # seconds of windows that are remembered: what a label gets where it is not shown is seen in them
SPARE = 4  # frames kept for each that a window looks at


class Ring:
    """The last `seconds` of frames by their times, no more than `apart` seconds allow.

    Memory is bounded by both, whatever the source's frame rate.
    """

    def __init__(self, seconds: float, apart: float) -> None:
        self.seconds = seconds
        self.apart = apart
        self.times: list[float] = []
        self._pictures: list[Picture] = []
        self._count = 0  # of all frames that were added

    def __len__(self) -> int:
        return len(self.times)

    def wants(self, time: float) -> bool:
        """True if a frame of this time would be kept: so that no other need be converted."""
        return not self.times or time >= self.times[-1] + self.apart * 0.999

    def add(self, picture: Picture, time: float) -> None:
        """Keep a copy of a frame, whose memory may be used again, and drop those that are too old. One of a time that
        is past already is left out."""
        if not self.wants(time):
            return
        if self._pictures and picture.shape != self._pictures[-1].shape:  # the source has changed its size
            self.clear()
        self.times.append(time)
        self._pictures.append(picture.copy())
        self._count += 1
        old = bisect_left(self.times, time - self.seconds)
        del self.times[:old], self._pictures[:old]

    def clear(self) -> None:
        """Forget all frames: what comes next does not follow them."""
        self.times.clear()
        self._pictures.clear()

    def window(self, start: float, end: float, num_frames: int, name: str) -> Frames | None:
        """`num_frames` at even times from `start` to `end`; None where there is no frame."""
        first, last = bisect_left(self.times, start - 1e-6), bisect_left(self.times, end - 1e-6)
        if first >= last:
            return None
        places = [first + place for place in evenly_timed(self.times[first:last], end, num_frames)]
        before = self._count - len(self.times)
        return Frames(
            torch.from_numpy(np.stack([self._pictures[place] for place in places])).permute(0, 3, 1, 2),
            torch.tensor([before + place for place in places]),
            torch.tensor([self.times[place] for place in places], dtype=torch.float64),
            self._count,
            torch.zeros(num_frames, dtype=torch.bool),
            0,
            name,
            (),
            start,
            end,
        )


class Stream:
    """Frames in, segments out, for as long as frames come; made by `Recognizer.open_stream`.

    `answer` gives the prediction for the frames of a window. Segments are told once, when they are over and settled:
    at most a window and two strides after their end. One that lasts longer than `HISTORY` begins with it.
    """

    def __init__(
        self,
        answer: Callable[[Frames], Prediction],
        labels: LabelSet,
        grid: Grid,
        num_frames: int,
        *,
        multi: bool = False,
        name: str = "<stream>",
    ) -> None:
        self.grid = grid
        self.name = name
        self.num_frames = num_frames
        self.windows = 0  # answered
        self.ring = Ring(grid.window + grid.stride, grid.window / (SPARE * num_frames))
        self._answer = answer
        independent = frozenset(label for group in labels.groups if group.independent for label in group.labels)
        self._track = Track(multi, independent=independent, thresholds=dict(labels.thresholds))
        self._next: float | None = None  # when the next window begins
        self._answered = False  # a window of the frames that follow each other
        self._told: dict[str, float] = {}  # until when segments of a label have been told
        self._settled = float("-inf")  # until when all that was seen by then has been told

    def push(self, picture: Picture, time: float) -> list[Segment]:
        """Take a frame, uint8 (H, W, 3), of this time in seconds; returns the segments that it closes.

        Times rise. Raises ValueError for anything else.
        """
        picture = np.asarray(picture)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ValueError(f"the picture is {picture.dtype} {picture.shape}; give uint8 (H, W, 3)")
        try:
            time = float(time)  # of NumPy, for instance, which no JSON takes
        except (TypeError, ValueError):
            raise ValueError(f"the time of the picture is {time!r}; give seconds") from None
        if not isfinite(time):
            raise ValueError(f"the time of the picture is {time}; give seconds")
        if self.ring.times and time < self.ring.times[-1]:
            raise ValueError(f"a frame at {time} s comes after one at {self.ring.times[-1]} s; give them in order")
        if self._next is None:
            self._next = time
        closed: list[Segment] = []
        while time >= self._next + self.grid.window:
            closed += self.look(self.frames(self._next, round(self._next + self.grid.window, DIGITS)))
            self._next = round(self._next + self.grid.stride, DIGITS)
            if time > self._next + self.grid.window + self.ring.seconds:  # frames have been missing
                self._next = time
        self.ring.add(picture, time)
        return closed

    def frames(self, start: float, end: float) -> Frames | None:
        """The frames of the window from `start` to `end`; None where the ring has none."""
        return self.ring.window(start, end, self.num_frames, self.name)

    def look(self, frames: Frames | None) -> list[Segment]:
        """Answer the next window, by its `frames`; returns the segments that it closes."""
        if frames is None:
            return []
        spans, found = self._track.spans, list[Segment]()
        if spans and (frames.start or 0.0) > spans[-1][1]:  # nothing goes on across a gap
            found = self._closed(spans[-1][1])
        self._track.add(self._answer(frames))
        self._track.forget_before((frames.end or 0.0) - HISTORY)
        self.windows += 1
        self._answered = True
        # Windows that are near a border smooth the curve there; the next one may still move it.
        settling = max(near(self.grid.window, self.grid.stride), 1) + 1
        return [*found, *self._closed(self._track.centers[-1] - settling * self.grid.stride)]

    def interrupt(self) -> list[Segment]:
        """Frames to come do not follow those before; returns the segments that this closes."""
        found = self.finish()
        self._next, self._answered = None, False
        self.ring.clear()
        return found

    def finish(self) -> list[Segment]:
        """The segments that are still open. Frames that are less than one window are one of their own."""
        found: list[Segment] = []
        if not self._answered and self.ring.times:
            found = self.look(self.frames(self.ring.times[0], round(self.ring.times[-1] + SHORTEST, DIGITS)))
        return [*found, *self._closed(float("inf"))]

    def _closed(self, until: float) -> list[Segment]:
        """The segments that end before `until` and have not been told. What later windows make of one that has been
        told is no other one, but where it goes on after it was told."""
        found: list[Segment] = []
        for segment in self._track.segments():
            told = self._told.get(segment.label, float("-inf"))
            if segment.end > until or segment.end <= told + self.grid.stride:
                continue
            if segment.start <= told + self.grid.stride and segment.end < told + self.grid.window:
                continue
            if segment.start < told - self.grid.stride and segment.end <= self._settled:
                continue
            others = (end for label, end in self._told.items() if self._track.compete(label, segment.label))
            before = max((end for end in others if end < segment.end), default=told)
            if segment.start < before and segment.end <= before + self.grid.stride:
                continue  # what is left of it is less than a window can tell
            start = max(segment.start, told, before)
            self._told[segment.label] = segment.end
            found.append(Segment(segment.label, start, segment.end, segment.score))
        self._settled = until
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ring.clear()
