"""Timelines of whole videos evaluated against what really happens in them, and the files that this gives.

The list says `path,start,end,label`; a timeline is told of each video in it, in any number of processes, and compared
by `localization`. An event is right that a segment of its label overlaps by a half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest
from crossframe.data.parquet import pyarrow, write_rows
from crossframe.distributed import from_all_processes, this_process
from crossframe.evaluate.evaluate import facts_of
from crossframe.evaluate.localization import Event, events_by_video, localization, mean_ap_interval, overlap, told_of
from crossframe.evaluate.result import PREDICTIONS, SUMMARY
from crossframe.evaluate.statistics import SEED
from crossframe.files import replacing, write_json
from crossframe.model.xclip import XCLIP
from crossframe.timeline.timeline import Timeline
from crossframe.timeline.writers import write_list
from crossframe.video.given import VideoError

SEGMENTS = "segments.csv"
RIGHT = 0.5  # the overlap from which an event counts as told


@dataclass(frozen=True, slots=True)
class EventsEvaluation:
    """The timelines of the videos of `manifest`, by the paths in it, or why there is none (`errors`).

    `events` are what happens; clips with a label that is no candidate are none. `trained_on`: how many clips of the
    list the model learned from; None where that is not known.
    """

    manifest: Manifest
    events: Mapping[str, list[Event]]
    timelines: Mapping[str, Timeline]
    errors: Mapping[str, str]
    made_with: Mapping[str, Any]
    trained_on: int | None = field(default=None, kw_only=True)

    def summary(self) -> dict[str, Any]:
        """Everything but the single events, ready for JSON; the same for any number of processes."""
        found = {video: each.segments for video, each in self.timelines.items()}
        tracks = {video: each.track for video, each in self.timelines.items()}
        result = localization(found, self.events, tracks)
        return {
            "videos": len(self.timelines) + len(self.errors),
            "unreadable": len(self.errors),
            "events": sum(map(len, self.events.values())),
            "segments": sum(map(len, found.values())),
            "trained_on": self.trained_on,
            "classes": len(self.manifest.labels),
            **{name: value for name, value in result.summary().items() if name != "per_label"},
            "mean_ap_interval": list(mean_ap_interval(found, self.events)),
            "made_with": {**self.made_with, "bootstrap_of": "videos", "bootstrap_seed": SEED},
            "per_label": result.summary()["per_label"],
            "failures": [{"path": video, "reason": reason} for video, reason in self.errors.items()],
            "damaged": [video for video, each in self.timelines.items() if any(each.track.damaged)],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row for each event, as they are saved."""
        return [self._row(video, event) for video, each in self.events.items() for event in each]

    def _row(self, video: str, event: Event) -> dict[str, Any]:
        told = self.timelines.get(video)
        segments = told.segments if told else ()
        covered, best = told_of(event, segments)
        near = max(segments, key=lambda segment: overlap(event, segment), default=None)
        damaged = told.track.damaged_stretches() if told else []
        return {
            "path": Clip(video, event.label, start=event.start, end=event.end).name,
            "recording": video,
            "start": event.start,
            "end": event.end,
            "label": event.label,
            "predicted": near.label if near and overlap(event, near) > 0 else None,
            "correct": best >= RIGHT,
            "covered": covered,
            "overlap": best,
            "error": self.errors.get(video),
            "damaged": any(start < event.end and event.start < end for start, end in damaged),
        }

    def save(self, folder: str | Path) -> None:
        """Write `predictions.parquet`, `segments.csv` and `summary.json`, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrow = pyarrow()
        names = ("path", "recording", "label", "predicted", "error")
        types: dict[str, Any] = dict.fromkeys(names, arrow.string())
        types |= dict.fromkeys(("start", "end", "covered", "overlap"), arrow.float64()) | {"correct": arrow.bool_()}
        with replacing(folder / PREDICTIONS) as target:
            write_rows(target, self.rows(), types)
        write_list(folder / SEGMENTS, [(video, told.segments) for video, told in self.timelines.items()])
        write_json(folder / SUMMARY, self.summary())  # last: where it is, all of it is


def evaluate_events(
    model: XCLIP,
    manifest: Manifest,
    tell: Callable[[Path], Timeline],
    *,
    made_with: Mapping[str, Any],
    trained_on: int | None = None,
    watch: Callable[[list[str]], Iterable[str]] = iter,
) -> EventsEvaluation:
    """Tell the timeline of each video of a manifest, on all processes of torch.distributed if it is initialized.

    `tell` takes a file to its timeline, or raises VideoError, and then all events of the video are missed. `watch` may
    wrap the paths in a progress bar. Raises ValueError for a clip without an end.
    """
    known = set(manifest.labels)
    rows = [(clip, label) for clip in manifest.clips for label in clip.labels if label in known]
    events = events_by_video([(clip.path, label, clip.start, clip.end) for clip, label in rows])
    videos = list(dict.fromkeys(clip.path for clip in manifest.clips))
    rank, size = this_process()
    mine: list[tuple[str, Timeline | str]] = []
    for video in watch(videos[rank::size]):
        try:
            mine.append((video, tell(manifest.root / video)))
        except VideoError as error:
            mine.append((video, str(error)))
    told = dict(from_all_processes(mine))
    timelines = {video: found for video in videos if isinstance(found := told[video], Timeline)}
    errors = {video: found for video in videos if isinstance(found := told[video], str)}
    facts = facts_of(model, manifest)
    return EventsEvaluation(manifest, events, timelines, errors, {**facts, **made_with}, trained_on=trained_on)
