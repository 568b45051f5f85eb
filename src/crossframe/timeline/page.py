"""The page about timelines: pictures over time, a curve for each label, segments; a click plays the video from there.

One file that opens offline. The video itself stays where it is: the page plays it where it finds it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

import crossframe
from crossframe import pages
from crossframe.timeline.segments import Segment
from crossframe.timeline.timeline import Timeline

CURVES = 10  # labels with a curve
POINTS = 400  # of a curve
WIDTH, HEIGHT = 1000, 60  # of a curve, in units of its own


@dataclass(frozen=True, slots=True)
class Row:
    """A label on the page: its curve as points of an SVG, and its segments."""

    label: str
    hue: int
    points: str
    segments: Sequence[Segment]
    most: float


def render_page(timelines: Sequence[Timeline], folder: Path) -> str:
    """The page, to be written into `folder`."""
    found = sum(len(timeline.segments) for timeline in timelines)
    videos = f"{len(timelines):,} videos" if len(timelines) > 1 else timelines[0].video
    made = timelines[0].made_by if timelines else {}
    return pages.render(
        "timeline",
        title="When does what happen?",
        lead=f"{found:,} segment{'s' * (found != 1)} in {videos}.",
        videos=[_on_page(timeline, folder) for timeline in timelines],
        made_with=[
            (name.replace("_", " "), value) for name, value in made.items() if isinstance(value, str | int | float)
        ],
        clock=clock,
        foot=f"Made by crossframe {crossframe.__version__}.",
    )


def _on_page(timeline: Timeline, folder: Path) -> dict[str, Any]:
    track = timeline.track
    begin, end = (track.spans[0][0], max(end for _, end in track.spans)) if track.spans else (0.0, 1.0)
    length = max(end - begin, 1e-3)

    def place(time: float) -> float:
        return round(100 * (time - begin) / length, 3)

    return {
        "name": timeline.video,
        "source": _address(timeline.video, folder),
        "begin": begin,
        "before": timeline.begins,
        "end": end,
        "place": place,
        "pictures": timeline.pictures,
        "rows": _rows(timeline, begin, length),
        "segments": timeline.segments,
        "damaged": track.damaged_stretches(),
        "gaps": track.gaps(),
        "shots": timeline.shots,
        "ticks": _ticks(begin, end),
        "notes": track.notes,
    }


def _rows(timeline: Timeline, begin: float, length: float) -> list[Row]:
    """The labels with segments, then those with the highest scores."""
    track = timeline.track
    scores, centers = track.scores, track.centers
    if not len(scores):
        return []
    shown = {segment.label for segment in timeline.segments}
    order = sorted(range(len(track.labels)), key=lambda k: (track.labels[k] not in shown, -float(scores[:, k].max())))
    hues = {label: round(place * 137.5) % 360 for place, label in enumerate(track.labels)}
    return [
        Row(
            track.labels[k],
            hues[track.labels[k]],
            _points((centers - begin) / length, scores[:, k]),
            [segment for segment in timeline.segments if segment.label == track.labels[k]],
            float(scores[:, k].max()),
        )
        for k in order[:CURVES]
    ]


def _points(places: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    """A curve through at most `POINTS` points, of several windows the highest."""
    parts = np.array_split(np.arange(len(places)), min(POINTS, len(places)))
    tops = [part[scores[part].argmax()] for part in parts]
    return " ".join(f"{WIDTH * places[i]:.1f},{HEIGHT * (1 - scores[i]):.1f}" for i in tops)


def _ticks(begin: float, end: float) -> list[float]:
    """Round times, some six of them."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
    step = next((step for step in steps if (end - begin) / step <= 6), 14400)
    first = int(np.ceil(begin / step))
    return [float(step * number) for number in range(first, int(end / step) + 1)]


def _address(video: str, folder: Path) -> str:
    """Where the page finds the video, seen from its own folder."""
    if "://" in video:
        return video
    return "" if video.startswith("<") or video == "-" else quote(os.path.relpath(video, folder))


def clock(seconds: float, digits: int = 0) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> clock(75.04), clock(3725), clock(59.96, 1)
    ('1:15', '1:02:05', '1:00.0')
    """
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{rest:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"
