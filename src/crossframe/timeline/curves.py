"""Curves over the windows of a video: where they are high, where they fall in between, and where an event begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Spans = Sequence[tuple[float, float]]  # of windows, in seconds

VALLEY = 0.7  # share of the lower of two peaks; below it, what lies between them is none of either
NEAR = 0.25  # of a window: what begins so little later shows nearly the same


def near(window: float, stride: float) -> int:
    """How many windows before and after each are `NEAR` it, of windows so long and so far apart, in seconds.

    >>> near(2.0, 0.5), near(2.0, 0.1), near(2.0, 2.0)
    (1, 5, 0)
    """
    return round(NEAR * window / stride)


def smoothed(rows: Floats, reach: int) -> Floats:
    """(N, K) -> (N, K), each row with so many before and after it, at least one, which weigh less the further away they
    are; beyond the ends the first and the last are repeated.

    >>> smoothed(np.array([[0.0], [0.0], [4.0], [0.0], [0.0]]), 1).ravel().tolist()
    [0.0, 1.0, 2.0, 1.0, 0.0]
    """
    reach = max(reach, 1)
    padded = np.pad(rows, ((reach, reach), (0, 0)), "edge")
    weights = reach + 1.0 - np.abs(np.arange(-reach, reach + 1))
    return np.array(sliding_window_view(padded, len(weights), axis=0) @ (weights / weights.sum()))


def runs_of(opens: Bools, holds: Bools) -> Iterator[tuple[int, int]]:
    """First and last places of the stretches that hold and open somewhere.

    >>> bools = lambda text: np.array([letter == "x" for letter in text])
    >>> list(runs_of(bools(".x...x"), bools("xxx.xx")))
    [(0, 2), (4, 5)]
    """
    holds = holds | opens
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    for first, after in edges.reshape(-1, 2).tolist():
        if opens[first:after].any():
            yield first, after - 1


def spread(rows: Bools, reach: int) -> Bools:
    """(N, K) -> (N, K), True also so many rows before and after those that are."""
    found = rows.copy()
    for _ in range(reach):
        before, after = found[:-1].copy(), found[1:].copy()
        found[1:] |= before
        found[:-1] |= after
    return found


def valleys(level: Floats, first: int, last: int) -> list[int]:
    """The lowest places between the peaks of a run from `first` to `last`.

    >>> valleys(np.array([1.0, 5.0, 4.0, 5.0, 2.0, 1.0, 4.0, 3.0]), 0, 7)
    [5]
    """
    found: list[int] = []
    peak, valley = -np.inf, None
    for place in range(first, last + 1):
        here = level[place]
        if valley is None:
            peak = max(peak, here)
            valley = place if here < VALLEY * peak else None
        elif here < level[valley]:
            valley = place
        elif level[valley] < VALLEY * here:
            found.append(valley)
            peak, valley = here, None
    return found


def borders_of(spans: Spans, before: int, after: int, level: Floats, peak: int, half: float) -> tuple[float, float]:
    """From when to when, in seconds, the level is `half` or more around the `peak`; at most from the window at `before`
    to that at `after`, which is not far into the time of another."""
    start = max(_crossing(spans, level, peak, -1, half), _center(spans, max(before, 0)))
    end = min(_crossing(spans, level, peak, 1, half), _center(spans, min(after, len(spans) - 1)))
    return _to_the_ends(spans, before + 1, after - 1, start, end)


def stretch_of(spans: Spans, first: int, last: int) -> tuple[float, float]:
    """From when to when, in seconds, the windows from `first` to `last` tell of more than their neighbors do."""
    half = (_center(spans, 1) - _center(spans, 0)) / 2 if len(spans) > 1 else 0.0
    return _to_the_ends(spans, first, last, _center(spans, first) - half, _center(spans, last) + half)


def _to_the_ends(spans: Spans, first: int, last: int, start: float, end: float) -> tuple[float, float]:
    """The same; but to the border of the first or the last of all windows where it goes on in that window."""
    start = spans[0][0] if first == 0 and start <= _center(spans, 0) else start
    end = spans[-1][1] if last == len(spans) - 1 and end >= _center(spans, last) else end
    return max(start, spans[0][0]), min(end, spans[-1][1])


def _crossing(spans: Spans, level: Floats, peak: int, step: int, half: float) -> float:
    """Where the level falls below `half`, going from the peak to the outside, between two windows."""
    outer = -1 if step < 0 else len(spans)
    place = peak
    while place + step != outer and level[place + step] >= half:
        place += step
    inner = _center(spans, place)
    if place + step == outer:
        return inner
    inside, outside = float(level[place]), float(level[place + step])
    share = 0.5 if inside == outside else (inside - half) / (inside - outside)
    return inner + min(max(share, 0.0), 1.0) * (_center(spans, place + step) - inner)


def _center(spans: Spans, place: int) -> float:
    start, end = spans[place]
    return (start + end) / 2


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches that touch, as one.

    >>> merged([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    [(0.0, 3.0), (5.0, 6.0)]
    """
    found: list[tuple[float, float]] = []
    for start, end in spans:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
