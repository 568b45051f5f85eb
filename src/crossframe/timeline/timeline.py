"""The timeline of one video: its windows, the segments that they show, and some of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from crossframe import pages
from crossframe.prediction import Prediction
from crossframe.text.labels import LabelSet
from crossframe.timeline.segments import Segment, Track
from crossframe.video.decode import Frames, Seen

PICTURES = 24  # at most, of one video


@dataclass(frozen=True, slots=True)
class Timeline:
    """A video with its windows and the segments they show; `shots` are the seconds at which shots change, `rate` its
    frames a second, `pictures` (time, value of `src`) some of its frames. All times are seconds after the first frame;
    players count from where the file begins, which is `begins` seconds before it."""

    track: Track
    segments: Sequence[Segment]
    shots: Sequence[float] = ()
    rate: float = 0.0
    pictures: Sequence[tuple[float, str]] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict[str, Any])
    begins: float = 0.0

    @classmethod
    def of(
        cls,
        windows: Iterable[Prediction],
        labels: LabelSet,
        *,
        multi: bool = False,
        shots: Sequence[float] = (),
        **made_by: Any,
    ) -> Timeline:
        """All windows of one video, in order, as `Recognizer.timeline` gives them for these `labels`.

        `multi` lets labels that compete be shown at once. Windows that kept their pixels give pictures.
        """
        independent = frozenset(label for group in labels.groups if group.independent for label in group.labels)
        track = Track(multi, independent=independent, thresholds=dict(labels.thresholds))
        strip, rate, begins = Strip(), 0.0, 0.0
        for window in windows:
            track.add(window)
            strip.add(window.pixels, window.frames.start or 0.0)
            rate = rate or frame_rate(window.frames)
            begins = window.frames.begins
        return cls(track, track.segments(shots), shots, rate, strip.pictures(), made_by, begins)

    def __repr__(self) -> str:
        return f"Timeline({self.video!r}: {len(self.segments)} segments in {len(self.track.spans)} windows)"

    @property
    def video(self) -> str:
        """Its name."""
        return self.track.video

    def to_dict(self, *, windows: bool = False) -> dict[str, Any]:
        """Plain values, ready for JSON: `segments`, `damaged` stretches and `gaps` without a frame, `shots`, and
        `begins` where the file begins before its video; with `windows`, the score of each label in each window too."""
        track = self.track
        spans = [{"start": start, "end": end} for start, end in track.spans]
        rows = [{**span, "scores": row} for span, row in zip(spans, track.scores.round(5).tolist(), strict=True)]
        return {
            "video": self.video,
            "labels": list(track.labels),
            "segments": [segment.to_dict() for segment in self.segments],
            "damaged": [{"start": start, "end": end} for start, end in track.damaged_stretches()],
            "gaps": [{"start": start, "end": end} for start, end in track.gaps()],
            **({"shots": list(self.shots)} if self.shots else {}),
            **({"begins": self.begins} if self.begins else {}),
            **({"warnings": list(track.notes)} if track.notes else {}),
            **({"windows": rows} if windows else {}),
            **self.made_by,
        }


class Strip:
    """Pictures of a video, evenly spread over its time, however long it will be.

    As soon as there are twice as many as wanted, every other one goes, and from then on half as many are taken.
    """

    def __init__(self, most: int = PICTURES) -> None:
        self._most = most
        self._apart = 0.0
        self._kept: list[tuple[float, str]] = []

    def add(self, pixels: Tensor | None, time: float) -> None:
        """Take the first frame of a window, uint8 (T, 3, H, W), if it is time for one."""
        if pixels is None or (self._kept and time < self._kept[-1][0] + self._apart):
            return
        self._kept.append((time, pages.strip(pixels[:1])[0]))
        if len(self._kept) >= 2 * self._most:
            self._kept = self._kept[::2]
            self._apart = self._kept[1][0] - self._kept[0][0]

    def pictures(self) -> list[tuple[float, str]]:
        """The time and the value of `src` of each."""
        return self._kept if len(self._kept) <= self._most else self._kept[::2]


def frame_rate(frames: Seen | Frames) -> float:
    """Frames a second, by the first and the last of those that were seen; 0 where their times do not say it."""
    apart = float(frames.times[-1] - frames.times[0])
    return int(frames.indices[-1] - frames.indices[0]) / apart if apart > 0 else 0.0
