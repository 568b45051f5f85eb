"""From the scores of windows to segments: which label holds from when to when.

A softmax always has a best label, and a model likes some labels everywhere. So a label must stand out: be well above
what it gets where it is not shown, which is a low quantile of its own curve in the same video. It begins where it
reaches three tenths of its usual height, goes on while it keeps a quarter (hysteresis), and its borders are then drawn
where it has half of its own height there: a window that is half inside an event sees half of it. A label whose curve is
flat, of a video that shows one thing throughout for instance, is judged by its score alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossframe.prediction import Prediction
from crossframe.video.decode import problems_of_file

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REST = 0.2  # quantile of a label's curve that is taken for what it gets where it is not shown
PEAK = 0.98  # and for its height where it is
FLAT = 0.03  # of a cosine: a curve with less between rest and peak says nothing about when
OPENS, HOLDS = 0.3, 0.25  # shares of a label's height
BORDER = 0.5  # share of a segment's own height
SMOOTH = (0.25, 0.5, 0.25)  # weights of neighboring windows


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

    def damaged_stretches(self) -> list[tuple[float, float]]:
        """From when to when frames are damaged, to the accuracy of windows."""
        return _merged(span for span, damaged in zip(self.spans, self.damaged, strict=True) if damaged)

    def gaps(self) -> list[tuple[float, float]]:
        """From when to when no frame is shown, to the accuracy of windows."""
        return [(before[1], after[0]) for before, after in pairwise(_merged(self.spans))]

    def segments(self, borders: Sequence[float] = ()) -> list[Segment]:
        """All segments, in order of time. None of them crosses one of the `borders`, seconds at which shots change."""
        if not self.spans:
            return []
        edges = [first for first, (before, after) in enumerate(pairwise(self.spans), start=1) if before[1] < after[0]]
        parts = [slice(*pair) for pair in pairwise([0, *edges, len(self.spans)])]  # between stretches without frames
        curves, accepted, borders = self._curves.rows.astype(np.float64), self._accepted.rows, sorted(borders)
        scores, windows = self.scores, self.centers
        scores = np.concatenate([_smoothed(scores[part]) for part in parts])
        rest = np.quantile(curves, REST, axis=0)
        height = np.quantile(curves, PEAK, axis=0) - rest
        runs = [
            run
            for part in parts
            for run in self._within(part, scores[part], _smoothed(curves[part]) - rest, accepted[part], height)
        ]
        found: list[Segment] = []
        for run in self._settled(runs, borders):
            column = scores[:, self.labels.index(run.label)]
            for start, end in _split(run.start, run.end, borders):
                inside = column[np.searchsorted(windows, start) : np.searchsorted(windows, end, "right")]
                score = float(inside.mean()) if len(inside) else run.score
                found.append(Segment(run.label, round(start, 3), round(end, 3), round(score, 4)))
        return sorted(found, key=_in_time)

    def compete(self, one: str, other: str) -> bool:
        """True if these labels may not be shown at once."""
        if self.multi or one == other or one in self.independent or other in self.independent:
            return False
        return not self.groups or self._group[one] == self._group[other]

    def _settled(self, runs: Iterable[Segment], borders: Sequence[float]) -> Iterator[Segment]:
        """The same runs. Where two that compete overlap, the first ends and the second begins in the middle of what
        both take, or where a shot changes there."""
        ordered = sorted(runs, key=_in_time)
        starts, ends = [each.start for each in ordered], [each.end for each in ordered]
        for place, run in enumerate(ordered):
            for later, other in enumerate(ordered[place + 1 :], place + 1):
                if other.start >= run.end:
                    break
                if self.compete(run.label, other.label):
                    last = min(run.end, other.end)
                    shots = borders[bisect_left(borders, other.start) : bisect_right(borders, last)]
                    border = shots[0] if shots else (other.start + last) / 2
                    ends[place], starts[later] = min(ends[place], border), max(starts[later], border)
        for run, start, end in zip(ordered, starts, ends, strict=True):
            if start < end:
                yield replace(run, start=start, end=end)

    def _within(self, part: slice, scores: Floats, lifts: Floats, accepted: Bools, height: Floats) -> Iterator[Segment]:
        """The runs of windows without a gap between them; `lifts` (N, K) are curves above the label's rest."""
        spans = self.spans[part]
        candidates = self._candidates(scores)
        for place, label in enumerate(self.labels):
            flat = height[place] < FLAT
            limit = self.thresholds.get(label)
            fits = candidates[:, place] & (scores[:, place] >= (limit or 0.0) / 2)
            if flat:
                opens, holds, level = accepted[:, place] & fits, accepted[:, place] & fits, None
            else:
                share = lifts[:, place] / height[place]
                opens = (share >= OPENS) & fits & accepted[:, place]
                holds, level = (share >= HOLDS) & fits, lifts[:, place]
            for first, last in _runs(opens, holds):
                start, end = _borders(spans, first, last, level)
                yield Segment(label, start, end, float(scores[first : last + 1, place].mean()))

    def _candidates(self, scores: Floats) -> Bools:
        """(N, K): True where a label may be shown beside those that it competes with: of these, only the best may."""
        may = np.ones(scores.shape, dtype=np.bool_)
        if self.multi:
            return may
        groups = self.groups or ("",) * len(self.labels)
        for group in dict.fromkeys(groups):
            places = [
                place
                for place, (name, label) in enumerate(zip(groups, self.labels, strict=True))
                if name == group and label not in self.independent
            ]
            if places:
                best = scores[:, places].argmax(axis=1)
                may[:, places] = best[:, None] == np.arange(len(places))
        return may


def _in_time(segment: Segment) -> tuple[float, float, str]:
    return segment.start, segment.end, segment.label


def _smoothed(rows: Floats) -> Floats:
    """(N, K) -> (N, K), each row with its neighbors; at the ends with itself."""
    padded = np.concatenate([rows[:1], rows, rows[-1:]])
    before, here, after = SMOOTH
    return before * padded[:-2] + here * padded[1:-1] + after * padded[2:]


def _runs(opens: Bools, holds: Bools) -> Iterator[tuple[int, int]]:
    """First and last places of the stretches that hold and open somewhere.

    >>> bools = lambda text: np.array([letter == "x" for letter in text])
    >>> list(_runs(bools(".x...x"), bools("xxx.xx")))
    [(0, 2), (4, 5)]
    """
    holds = holds | opens
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    for first, after in edges.reshape(-1, 2).tolist():
        if opens[first:after].any():
            yield first, after - 1


def _borders(spans: Sequence[tuple[float, float]], first: int, last: int, level: Floats | None) -> tuple[float, float]:
    """Start and end of the run of windows from `first` to `last`, in seconds."""
    centers = [(start + end) / 2 for start, end in spans]
    if level is None:
        half = (centers[1] - centers[0]) / 2 if len(centers) > 1 else 0.0
        start, end = centers[first] - half, centers[last] + half
    else:
        half = BORDER * float(level[first : last + 1].max())
        peak = first + int(level[first : last + 1].argmax())
        start, end = (_crossing(centers, level, peak, step, half) for step in (-1, 1))
        start = max(start, centers[max(first - 1, 0)])  # not far into another label's time
        end = min(end, centers[min(last + 1, len(centers) - 1)])
    # What goes on in the first or the last window goes on to its border.
    start = spans[0][0] if first == 0 and start <= centers[0] else start
    end = spans[-1][1] if last == len(spans) - 1 and end >= centers[-1] else end
    return max(start, spans[0][0]), min(end, spans[-1][1])


def _crossing(centers: Sequence[float], level: Floats, peak: int, step: int, half: float) -> float:
    """Where the level falls below `half` for good, going from the outside to the peak, between two windows."""
    outer = -1 if step < 0 else len(centers)
    place = peak
    while place + step != outer and level[place + step] >= half:
        place += step
    if place + step == outer:
        return centers[place]
    inside, outside = level[place], level[place + step]
    share = 0.5 if inside == outside else float((inside - half) / (inside - outside))
    return centers[place] + min(max(share, 0.0), 1.0) * (centers[place + step] - centers[place])


def _split(start: float, end: float, borders: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The parts of a stretch between borders.

    >>> list(_split(1.0, 5.0, [0.5, 2.0, 5.0]))
    [(1.0, 2.0), (2.0, 5.0)]
    """
    inner = borders[bisect_right(borders, start) : bisect_left(borders, end)]
    yield from pairwise([start, *inner, end])


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches that touch, as one.

    >>> _merged([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    [(0.0, 3.0), (5.0, 6.0)]
    """
    found: list[tuple[float, float]] = []
    for start, end in spans:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
