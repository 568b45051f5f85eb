"""From the scores of windows to segments: which label holds from when to when.

A softmax always has a best label, and a model likes some labels everywhere. So a label must stand out: be well above
what it gets where it is not shown, which is a low quantile of its own curve in the same video. It begins where it
reaches three tenths of its usual height and goes on while it keeps a quarter (hysteresis), but where it falls by three
tenths and rises again, one event ends and the next begins. Borders are then drawn where it has half of the height that
it reaches there: a window that is half inside an event sees half of it. Beside another label that is shown too, each
gets less than alone, and so less will do. A label whose curve is flat, of a video that shows one thing throughout for
instance, is judged by its score alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossframe.prediction import Prediction
from crossframe.timeline.curves import (
    Bools,
    Floats,
    borders_of,
    merged,
    near,
    runs_of,
    smoothed,
    spread,
    stretch_of,
    valleys,
)
from crossframe.video.decode import problems_of_file

REST = 0.2  # quantile of a label's curve that is taken for what it gets where it is not shown
PEAK = 0.98  # and for its height where it is
FLAT = 0.03  # of a cosine: a curve with less between rest and peak says nothing about when
OPENS, HOLDS = 0.3, 0.25  # shares of a label's height
BORDER = 0.5  # share of a segment's own height
BESIDE = 0.6  # what a label gets beside another, of what it gets alone


@dataclass(frozen=True, slots=True)
class Segment:
    """`label` is shown from `start` until before `end`, in seconds; `score` is its mean score in between."""

    label: str
    start: float
    end: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Run(Segment):
    """A segment before it is settled beside others; `height` is what its label reaches there, of its usual height."""

    height: float = 1.0

    @property
    def spares(self) -> float:
        """How much it leaves to another of what both take, compared with the other: a long one can spare more, and one
        that is low may be none."""
        return (self.end - self.start) / self.height**2


class Rows:
    """Rows of numbers in one block of memory, which grows: an array for each of a long video's windows would take ten
    times as much."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._block = np.empty((0, 0), dtype)
        self._count = 0

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, (N, K), until the next one is added."""
        return self._block[: self._count]

    def add(self, row: NDArray[Any]) -> None:
        """Put a row, (K,), behind the others; all have one length."""
        if self._count == len(self._block):
            block = np.empty((max(2 * self._count, 64), len(row)), self._block.dtype)
            if self._count:
                block[: self._count] = self._block
            self._block = block
        self._block[self._count] = row
        self._count += 1

    def drop(self, count: int) -> None:
        """Forget the first rows, in place."""
        self._block[: self._count - count] = self._block[count : self._count].copy()
        self._count -= count


@dataclass
class Track:
    """The windows of one video, without their frames: what is needed to tell segments and to draw curves.

    Windows come in the order of time. `multi` lets labels that compete be shown at once.
    """

    multi: bool = False
    video: str = ""
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    independent: frozenset[str] = frozenset()  # labels that do not compete
    thresholds: dict[str, float] = field(default_factory=dict[str, float])
    spans: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    damaged: list[bool] = field(default_factory=list[bool])
    notes: tuple[str, ...] = ()
    _group: dict[str, str] = field(default_factory=dict[str, str])
    _scores: Rows = field(default_factory=lambda: Rows(np.float32))
    _curves: Rows = field(default_factory=lambda: Rows(np.float32))
    _accepted: Rows = field(default_factory=lambda: Rows(np.bool_))

    def add(self, window: Prediction) -> None:
        """Take up the next window. Raises ValueError for one of another time or with other labels."""
        start, end = window.frames.start or 0.0, window.frames.end
        if end is None or (self.spans and start < self.spans[-1][0]):
            raise ValueError(f"{window.video}: a window from {start} to {end} s does not follow the ones before")
        if self.labels and self.labels != window.labels:
            raise ValueError(f"{window.video}: its windows have other labels than the ones before")
        self.video, self.labels, self.groups = window.video, window.labels, window.groups
        self._group = self._group or dict(zip(self.labels, self.groups, strict=False))
        self.notes = tuple(problems_of_file(window.frames))
        self.spans.append((start, end))
        self.damaged.append(bool(window.frames.damaged.any()))
        scores = window.scores.double().numpy()
        self._scores.add(scores)
        odds = np.log((scores + 1e-6) / (1 - scores + 1e-6)) / 100  # as cosines are scaled
        self._curves.add(odds if window.similarities is None else window.similarities.double().numpy())
        counted = np.zeros(len(scores), dtype=np.bool_)
        counted[list(window.ranking()[:1] if window.counted is None else window.counted)] = True
        self._accepted.add(counted)

    def forget_before(self, time: float) -> None:
        """Drop windows that end before this time, for videos without an end."""
        old = next((place for place, (_, end) in enumerate(self.spans) if end >= time), len(self.spans))
        del self.spans[:old], self.damaged[:old]
        for rows in (self._scores, self._curves, self._accepted):
            rows.drop(old)

    @property
    def scores(self) -> Floats:
        """(N, K) of N windows."""
        return self._scores.rows.astype(np.float64).reshape(len(self.spans), len(self.labels))

    @property
    def centers(self) -> Floats:
        """(N,), in seconds."""
        return np.array(self.spans).reshape(-1, 2).mean(axis=1)

    @property
    def _reach(self) -> int:
        starts, ends = np.array(self.spans).T
        apart = np.diff(starts)
        return near(float((ends - starts).max()), float(np.median(apart[apart > 0]))) if (apart > 0).any() else 0

    def damaged_stretches(self) -> list[tuple[float, float]]:
        """From when to when frames are damaged, to the accuracy of windows."""
        return merged(span for span, damaged in zip(self.spans, self.damaged, strict=True) if damaged)

    def gaps(self) -> list[tuple[float, float]]:
        """From when to when no frame is shown, to the accuracy of windows."""
        return [(before[1], after[0]) for before, after in pairwise(merged(self.spans))]

    def segments(self, borders: Sequence[float] = ()) -> list[Segment]:
        """All segments, in order of time. None of them crosses one of the `borders`, seconds at which shots change."""
        if not self.spans:
            return []
        edges = [first for first, (before, after) in enumerate(pairwise(self.spans), start=1) if before[1] < after[0]]
        parts = [slice(*pair) for pair in pairwise([0, *edges, len(self.spans)])]  # between stretches without frames
        curves, accepted, borders = self._curves.rows.astype(np.float64), self._accepted.rows, sorted(borders)
        reach, scores, windows = self._reach, self.scores, self.centers
        scores = np.concatenate([smoothed(scores[part], reach) for part in parts])
        rest = np.quantile(curves, REST, axis=0)
        height = np.quantile(curves, PEAK, axis=0) - rest
        runs = [
            run
            for part in parts
            for run in self._within(part, scores[part], smoothed(curves[part], reach) - rest, accepted[part], height)
        ]
        found: list[Segment] = []
        for run in self._settled(runs, borders):
            column = scores[:, self.labels.index(run.label)]
            for start, end in _split(run.start, run.end, borders):
                inside = column[np.searchsorted(windows, start) : np.searchsorted(windows, end, "right")]
                score = float(inside.mean()) if len(inside) else run.score
                found.append(Segment(run.label, round(start, 3), round(end, 3), round(score, 4)))
        return sorted((each for each in found if each.start < each.end), key=_in_time)

    def compete(self, one: str, other: str) -> bool:
        """True if these labels may not be shown at once."""
        if self.multi or one == other or one in self.independent or other in self.independent:
            return False
        return not self.groups or self._group[one] == self._group[other]

    def _settled(self, runs: Iterable[_Run], borders: Sequence[float]) -> list[_Run]:
        """The same. Of two that compete, one inside the other interrupts it; where they overlap otherwise, the first
        ends and the second begins where a shot changes, or else within what both take."""
        waiting = deque(sorted(runs, key=_in_time))
        settled: list[_Run] = []
        recent: list[_Run] = []  # which the next may overlap
        while waiting:
            run = waiting.popleft()
            settled += [each for each in recent if each.end <= run.start]
            recent = [each for each in recent if each.end > run.start]
            place = next((n for n, before in enumerate(recent) if self.compete(run.label, before.label)), None)
            if place is None:
                recent.append(run)
                continue
            before = recent[place]
            if run.end < before.end:
                recent[place] = replace(before, end=run.start)
                later = [run, replace(before, start=run.end)]
            else:
                border = _border(before, run, borders)
                recent[place] = replace(before, end=border)
                later = [replace(run, start=border)]
            for each in later:  # and then it is asked again, now in its new place
                insort(waiting, each, key=_in_time)
        return [each for each in [*settled, *recent] if each.start < each.end]

    def _within(self, part: slice, scores: Floats, lifts: Floats, accepted: Bools, height: Floats) -> Iterator[_Run]:
        """The runs of windows without a gap between them; `lifts` (N, K) are curves above the label's rest."""
        spans = self.spans[part]
        best, beside = self._candidates(scores), self._beside(lifts, height)
        good = spread(best, self._reach)
        for place, label in enumerate(self.labels):
            likely = scores[:, place] >= self.thresholds.get(label, 0.0) / 2
            opens = accepted[:, place] & best[:, place] & likely
            if height[place] < FLAT:
                for first, last in runs_of(opens, opens):
                    score = float(scores[first : last + 1, place].mean())
                    yield _Run(label, *stretch_of(spans, first, last), score)
                continue
            share = lifts[:, place] / height[place]
            opens &= share >= OPENS
            alone = share / np.where(beside[:, place], BESIDE, 1.0)  # what it would have without the others
            for first, last in runs_of(opens, (share >= HOLDS) & good[:, place] & likely):
                for before, after in pairwise([first - 1, *valleys(share, first, last), last + 1]):
                    inside = slice(before + 1, after)
                    if opens[inside].any():
                        peak = before + 1 + int(share[inside].argmax())
                        top, score = float(share[peak]), float(scores[inside, place].mean())
                        yield _Run(label, *borders_of(spans, before, after, alone, peak, BORDER * top), score, top)

    def _rivals(self) -> Iterator[list[int]]:
        """The places of labels that are compared with each other, a list for each group."""
        groups = self.groups or ("",) * len(self.labels)
        for group in dict.fromkeys(groups):
            named = enumerate(zip(groups, self.labels, strict=True))
            places = [place for place, (name, label) in named if name == group and label not in self.independent]
            if places:
                yield places

    def _candidates(self, scores: Floats) -> Bools:
        """(N, K): True where a label may be shown beside those that it competes with: of these, only the best may."""
        may = np.ones(scores.shape, dtype=np.bool_)
        for places in () if self.multi else self._rivals():
            best = scores[:, places].argmax(axis=1)
            may[:, places] = best[:, None] == np.arange(len(places))
        return may

    def _beside(self, lifts: Floats, height: Floats) -> Bools:
        """(N, K): True where another label, of those that it is compared with, has half of its usual height."""
        high = (lifts >= BORDER * height) & (height >= FLAT)
        beside = np.zeros(high.shape, dtype=np.bool_)
        for places in self._rivals():
            beside[:, places] = high[:, places].sum(axis=1, keepdims=True) > high[:, places]
        return beside


def _border(before: _Run, run: _Run, borders: Sequence[float]) -> float:
    """Where the first of two runs ends and the second begins: where a shot changes while both go on, if one does."""
    shots = borders[bisect_left(borders, run.start) : bisect_left(borders, before.end)]
    share = before.spares / (before.spares + run.spares)
    return shots[0] if shots else before.end - share * (before.end - run.start)


def _in_time(segment: Segment) -> tuple[float, float, str]:
    return segment.start, segment.end, segment.label


def _split(start: float, end: float, borders: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The parts of a stretch between borders.

    >>> list(_split(1.0, 5.0, [0.5, 2.0, 5.0]))
    [(1.0, 2.0), (2.0, 5.0)]
    """
    inner = borders[bisect_right(borders, start) : bisect_left(borders, end)]
    yield from pairwise([start, *inner, end])
