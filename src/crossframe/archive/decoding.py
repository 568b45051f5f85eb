"""Jobs of an archive and the frames that they ask for: what runs on CPUs, without torch, in processes of Ray.

Each file is read in a process below those, whose limits hold: one that kills the decoder costs itself alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

import numpy as np

from crossframe.video.exact import Decoded, open_video
from crossframe.video.given import Limits, Video, VideoError, at_hand
from crossframe.video.isolate import Readers, Worker
from crossframe.video.sample import Wanted
from crossframe.video.stretches import Span, read_parts

Batch: TypeAlias = dict[str, Any]

TOGETHER = 32  # windows that are read in one pass over a file, and travel together


@dataclass(frozen=True, slots=True)
class Job:
    """A video, whole or a window of it. Of one that is cut, `done` are the windows that need no more work, and `spans`
    some of those that do, of `windows` in all. Times are seconds; `duration` is that of the whole video, once it is
    known."""

    video: Video
    done: frozenset[Span] = frozenset()
    spans: tuple[Span, ...] = ()
    windows: int | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How clips are read: the same in all processes. `view` are options of `crossframe.video.decode.read_video`; videos
    are cut into windows of so many seconds, `window`, where that is given, one every `stride`."""

    num_frames: int
    view: Mapping[str, Any]
    limits: Limits
    window: float | None = None
    stride: float | None = None


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._readers = Readers(1, reading.limits)

    def read(self, jobs: Sequence[Job], function: Callable[..., Any]) -> Iterator[Any]:
        """The value of the function for each job's video, in a process below this one; or a VideoError."""

        def read_one(worker: Worker, job: Job) -> Any:
            try:
                with at_hand(job.video) as video:
                    return worker.read((job.video.name, function, (video, job.spans, self.reading), {}))
            except VideoError as error:
                return error

        return self._readers.map(read_one, jobs)


class Cutter(_Reader):
    """Videos to windows, some dozens in a job."""

    def __call__(self, batch: Batch) -> Batch:
        """{"job": pickled jobs} -> the same of more; a video that cannot be read stays one, and fails again."""
        from crossframe.timeline.windows import SHORTEST, Grid

        grid = Grid(cast("float", self.reading.window), cast("float", self.reading.stride))
        jobs: list[Job] = [pickle.loads(job) for job in batch["job"]]
        cut: list[Job] = []
        for job, length in zip(jobs, self.read(jobs, seconds_of), strict=True):
            if isinstance(length, VideoError):
                cut.append(job)
                continue
            begin, end = job.video.start or 0.0, min(max(length, SHORTEST), job.video.end or length)
            spans = list(grid.spans(begin, end)) if begin < end else [(begin, begin + SHORTEST)]
            left = [span for span in spans if span not in job.done]
            groups = [tuple(left[at : at + TOGETHER]) for at in range(0, len(left), TOGETHER)]
            cut += [replace(job, done=frozenset(), spans=group, windows=len(spans)) for group in groups]
        return {"job": _column(map(pickle.dumps, cut))}


class Decoder(_Reader):
    """Clips to the frames that a model looks at."""

    def __call__(self, batch: Batch) -> Batch:
        """{"job": pickled jobs} -> those of each clip, and as "frames" its pickled `Decoded`, or VideoError."""
        jobs: list[Job] = [pickle.loads(job) for job in batch["job"]]
        clips: list[bytes] = []
        frames: list[bytes] = []
        for job, found in zip(jobs, self.read(jobs, frames_of), strict=True):
            parts = [replace(job.video, start=start, end=end) for start, end in job.spans] or [job.video]
            length, each = (None, [found] * len(parts)) if isinstance(found, VideoError) else found
            clips += [pickle.dumps(replace(job, video=part, spans=(), duration=length)) for part in parts]
            frames += [pickle.dumps(one, protocol=5) for one in each]
        return {"job": _column(clips), "frames": _column(frames)}


def seconds_of(video: Video, _spans: object, reading: Reading) -> float:
    """How long a video lasts. Raises VideoError where it cannot be read."""
    with open_video(video, stream=reading.view.get("stream")) as opened:
        return opened.duration


def frames_of(video: Video, spans: Sequence[Span], reading: Reading) -> tuple[float, list[Decoded | VideoError]]:
    """How long a video lasts, and the frames of the clip that it is, or of each of its windows."""
    view = dict(reading.view)
    with open_video(video, stream=view.pop("stream", None)) as opened:
        if spans:
            return opened.duration, list(read_parts(opened, spans, reading.num_frames, **view))
        part = None if video.whole else opened.frame_range(video.start, video.end)
        wanted = Wanted(video.name, reading.num_frames, view.pop("sampling"), None, part)
        return opened.duration, [replace(opened.read(wanted, **view), start=video.start, end=video.end)]


def _column(values: Iterable[bytes]) -> Any:
    """Bytes of any lengths as an array of objects."""
    listed = list(values)
    column = np.empty(len(listed), object)
    column[:] = listed
    return column
