"""How well segments tell when things happen: average precision at temporal overlaps, and at points in time.

A segment is right if it overlaps an event of its label, which no better segment has taken, by at least a given share of
what both cover (temporal intersection over union). Precision over recall is made to fall before its area is taken, as
the evaluations of ActivityNet and THUMOS do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossframe.evaluate.ranking import average_precision
from crossframe.evaluate.statistics import percentiles, resampled
from crossframe.timeline.segments import Segment, Track

OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7)
AT_OVERLAPS = tuple(f"ap_{round(100 * least)}" for least in OVERLAPS)  # the names of the average precisions there


@dataclass(frozen=True, slots=True)
class Event:
    """The truth: `label` is shown from `start` until before `end`, in seconds.

    Raises ValueError for one without length.
    """

    label: str
    start: float
    end: float

    def __post_init__(self) -> None:
        if not (self.end > self.start and isfinite(self.end - self.start)):
            raise ValueError(
                f"an event of {self.label!r} cannot last from {self.start} to {self.end} s; let it end after it starts"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """`per_label`: for each label that has events, its average precision at each of `OVERLAPS` and at points, and its
    number of events. `means`: the same over labels; `covered`: the mean share of an event that segments of its label
    cover, `overlap`: the mean of its best overlap with one."""

    per_label: Mapping[str, Mapping[str, float]]
    covered: float
    overlap: float

    @property
    def means(self) -> dict[str, float]:
        """Mean average precision at each overlap, at points, and over the overlaps (`mean_ap`).

        At points it is of the labels with a middle of a window in one of their events; NaN where there is none.
        """
        found = {name: _mean([row[name] for row in self.per_label.values()]) for name in (*AT_OVERLAPS, "points")}
        return found | {"mean_ap": float(np.mean([found[name] for name in AT_OVERLAPS]))}

    def summary(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        rows = [{"label": label, **row} for label, row in self.per_label.items()]
        return {**self.means, "covered": self.covered, "overlap": self.overlap, "per_label": rows}


def localization(
    found: Mapping[str, Sequence[Segment]], events: Mapping[str, Sequence[Event]], tracks: Mapping[str, Track]
) -> Localization:
    """Compare the segments of each video with its events; videos without any of them count too.

    `tracks` give the scores at points: the middles of windows. Raises ValueError where there is no event at all.
    """
    labels = list(dict.fromkeys(event.label for each in events.values() for event in each))
    if not labels:
        raise ValueError("there are no events to compare with; give a list with columns path, start, end and label")
    least = dict(zip(AT_OVERLAPS, OVERLAPS, strict=True))
    per_label = {
        label: {
            **{name: segment_precision(found, events, label, share) for name, share in least.items()},
            "points": _point_precision(tracks, events, label),
            "events": float(sum(event.label == label for each in events.values() for event in each)),
        }
        for label in labels
    }
    shares = [told_of(event, found.get(video, ())) for video, each in events.items() for event in each]
    covered, overlap = np.array(shares).mean(axis=0).tolist()
    return Localization(per_label, covered, overlap)


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN of none."""
    known = [value for value in values if not isnan(value)]
    return float(np.mean(known)) if known else nan


def overlap(a: Segment | Event, b: Segment | Event) -> float:
    """The temporal intersection over union.

    >>> overlap(Event("x", 0.0, 4.0), Event("x", 2.0, 6.0))
    0.3333333333333333
    """
    both = min(a.end, b.end) - max(a.start, b.start)
    return max(both, 0.0) / (max(a.end, b.end) - min(a.start, b.start))


def segment_precision(
    found: Mapping[str, Sequence[Segment]], events: Mapping[str, Sequence[Event]], label: str, least: float
) -> float:
    """The average precision of one label at one overlap; NaN where it has no event."""
    return float(_Compared.of(found, events, label, least).precision(np.ones((1, len(events))))[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """The segments of a label, best first: `right` (N,), and the place of its `video` among V, or V for one without
    events; and the number of `events` in each video, (V,)."""

    right: NDArray[np.float64]
    video: NDArray[np.int64]
    events: NDArray[np.int64]

    @classmethod
    def of(
        cls, found: Mapping[str, Sequence[Segment]], events: Mapping[str, Sequence[Event]], label: str, least: float
    ) -> Self:
        left = {video: [event for event in each if event.label == label] for video, each in events.items()}
        places = {video: place for place, video in enumerate(events)}
        total = np.array([len(each) for each in left.values()], dtype=np.int64)
        told = [(each, video) for video, several in found.items() for each in several if each.label == label]
        told.sort(key=lambda pair: -pair[0].score)
        right = np.zeros(len(told))
        for place, (segment, video) in enumerate(told):
            best = max(left.get(video, ()), key=lambda event: overlap(segment, event), default=None)
            if best is not None and overlap(segment, best) >= least:
                left[video].remove(best)
                right[place] = 1
        return cls(right, np.array([places.get(video, len(places)) for _, video in told], dtype=np.int64), total)

    def precision(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average precision, (D,), were each of V videos there so many `times`, (D, V); NaN without an event."""
        drawn = np.concatenate([times, np.ones((len(times), 1))], axis=1)[:, self.video]  # (D, N)
        hits, told = (self.right * drawn).cumsum(axis=1), drawn.cumsum(axis=1)
        precision = np.divide(hits, told, out=np.zeros_like(hits), where=told > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        area, total = (envelope * self.right * drawn).sum(axis=1), times @ self.events
        return np.divide(area, total, out=np.full(len(times), np.nan), where=total > 0)


def mean_ap_interval(
    found: Mapping[str, Sequence[Segment]], events: Mapping[str, Sequence[Event]]
) -> tuple[float, float]:
    """The 95% interval of the mean average precision over `OVERLAPS`: the bootstrap over videos with events."""
    labels = list(dict.fromkeys(event.label for each in events.values() for event in each))
    times = resampled(len(events))
    whole = np.zeros(len(times))
    for least in OVERLAPS:
        rows = [_Compared.of(found, events, label, least).precision(times) for label in labels]
        whole += np.nanmean(rows, axis=0) / len(OVERLAPS)
    return percentiles(whole)


def _point_precision(tracks: Mapping[str, Track], events: Mapping[str, Sequence[Event]], label: str) -> float:
    scores: list[NDArray[np.float64]] = []
    true: list[NDArray[np.bool_]] = []
    for video, track in tracks.items():
        if label not in track.labels:
            continue
        scores.append(track.scores[:, track.labels.index(label)])
        at = track.centers[:, None]
        spans = np.array([(e.start, e.end) for e in events.get(video, ()) if e.label == label]).reshape(-1, 2)
        inside: NDArray[np.bool_] = (spans[:, 0] <= at) & (at < spans[:, 1])
        true.append(np.asarray(inside.any(axis=1)))
    if not scores or not sum(map(len, scores)):
        return 0.0
    return average_precision(np.concatenate(scores), np.concatenate(true))


def told_of(event: Event, segments: Sequence[Segment]) -> tuple[float, float]:
    """The share of an event that segments of its label cover, and its best overlap with one."""
    own = [segment for segment in segments if segment.label == event.label]
    inside = sum(max(0.0, min(s.end, event.end) - max(s.start, event.start)) for s in own)
    return min(inside / (event.end - event.start), 1.0), max((overlap(event, s) for s in own), default=0.0)


def events_within(events: Sequence[Event], start: float | None, end: float | None) -> list[Event]:
    """These events as far as they lie in a part of their video, from `start` until before `end`; None are its own ends.

    >>> events_within([Event("x", 0.0, 2.0), Event("x", 3.0, 9.0)], 2.0, 5.0)
    [Event(label='x', start=3.0, end=5.0)]
    """
    begin, stop = start or 0.0, inf if end is None else end
    cut = [(each.label, max(each.start, begin), min(each.end, stop)) for each in events]
    return [Event(label, first, last) for label, first, last in cut if first < last]


def events_by_video(rows: Sequence[tuple[str, str, float | None, float | None]]) -> dict[str, list[Event]]:
    """Events by the name of their video, of rows (video, label, start, end).

    Raises ValueError for a row without an end, and for one without length.
    """
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for video, label, start, end in rows:
        if end is None:
            raise ValueError(f"{video}: an event of {label!r} has no end; give a list with columns start and end")
        try:
            found[video].append(Event(label, start or 0.0, end))
        except ValueError as error:
            raise ValueError(f"{video}: {error}") from None
    return dict(found)
