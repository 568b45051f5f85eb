"""Re-encoding a data set to small H.264 files that decode fast.

A prepared video has the frames of its source, each at its time, upright, without sound, and with the short side scaled
down to 256 pixels, as the paper's loader does with every video every time. A key frame every 16 lets a reader that
wants a few frames leave most of the others undecoded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from crossframe.data.manifest import Manifest
from crossframe.data.resumable import Outcome, Work, process_each
from crossframe.files import remove_parts, replacing
from crossframe.video.exact import Decoded, open_video
from crossframe.video.given import VideoError, source_name
from crossframe.video.media import Media, View, x264_options

USUAL_RATE = Fraction(25)  # frames a second where the file does not say
RECORD = "prepared.jsonl"  # what was done in a folder, which is ours where this lies
KEY_FRAMES = 16  # frames from one key frame to the next


@dataclass(frozen=True, slots=True)
class Encoding:
    """How videos are written: the short side in pixels, an even number, and x264's constant rate factor, where less is
    better and larger."""

    short_side: int = 256
    quality: int = 20

    def __post_init__(self) -> None:
        if self.short_side < 2 or self.short_side % 2:
            raise ValueError(f"a short side of {self.short_side} pixels cannot be encoded; use an even number above 0")
        if not 1 <= self.quality <= 51:
            raise ValueError(f"a quality of {self.quality} does not exist; use 1, the best, to 51")


@dataclass(frozen=True, slots=True)
class TranscodeJob:
    """A source file, as which it can be opened, the file to be written and its encoding."""

    source: str
    target: Path
    encoding: Encoding

    def __fspath__(self) -> str:
        return self.source


def prepare(
    manifest: Manifest,
    out: Path,
    encoding: Encoding | None = None,
    *,
    workers: int = 2,
    timeout: float = 300.0,
) -> Iterator[Outcome]:
    """Write every file of a data set to `out/videos`, in the folders that it is in now; an outcome for each.

    Files appear whole or not at all. Those that are there already, of the same source and encoding, stay. What an
    interrupted run has left half written is removed. Nothing is written outside `out`, whatever paths the list has.

    Raises ValueError where `out` holds files of somebody else, or a link that leads out of it.
    """
    encoding = encoding or Encoding()
    jobs: dict[str, TranscodeJob] = {}
    for name, target in _targets(manifest, out).items():
        source = manifest.root / name
        if source.absolute() == target.absolute():
            raise ValueError(f"{source} would be written over itself; choose another folder for the prepared videos")
        if not target.parent.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{target.parent} leads out of {out}; remove the link, or choose another folder")
        jobs[name] = TranscodeJob(str(source), target, encoding)
    claim(out)
    work = Work(
        read=transcode,
        settings=f"{encoding.short_side} {encoding.quality} {KEY_FRAMES}",
        has_result=lambda name: jobs[name].target.is_file(),
    )
    return _tidy(process_each(jobs, work, out / RECORD, workers=workers, timeout=timeout), out / "videos")


def claim(out: Path) -> None:
    """Take a folder for prepared videos, or take up one again: `prepared.jsonl` marks it.

    Raises ValueError where it holds videos, archives or a list of somebody else, which would be written over.
    """
    record = out / RECORD
    for name in ("videos", "shards"):
        if not (out / name).resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{out / name} leads out of {out}; remove the link, or choose another folder")
    if not record.exists():
        there = [out / "manifest.csv", *(out / "videos").rglob("*"), *(out / "shards").rglob("*")]
        foreign = [path for path in there if path.is_file() and path.suffix != ".part"]
        if foreign:
            raise ValueError(f"{foreign[0]} is there, and not from data prepare; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    record.touch()


def _tidy(outcomes: Iterator[Outcome], folder: Path) -> Iterator[Outcome]:
    """The same outcomes; before and after them, whatever is half written in the folder is removed."""
    remove_parts(folder)
    try:
        yield from outcomes
    finally:
        remove_parts(folder)


def prepared_manifest(manifest: Manifest, out: Path, failed: Collection[str]) -> Manifest:
    """The clips with the paths of their prepared files.

    Clips of the files that `failed`, by the manifest's paths, keep theirs: left out, they would be missing from every
    result without a word.
    """
    targets = _targets(manifest, out)
    clips = [
        replace(clip, path=str((manifest.locate(clip) if clip.path in failed else targets[clip.path]).absolute()))
        for clip in manifest.clips
    ]
    return Manifest(tuple(clips), manifest.labels, out)


def transcode(job: TranscodeJob, _num_frames: int = 1, **_options: Any) -> Decoded:
    """Do a job, and return the first frame as it was read, with the number of all frames written.

    The frames are those that a reader of the source gets, at their times relative to the first; where the file has no
    times, or wrong ones, they follow at its frame rate. Raises VideoError where there is no frame, or no place to write
    to.
    """
    name = source_name(job)
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with open_video(name) as video, video.start(probe=True) as (media, packets), replacing(job.target) as part:
            media.use_threads(False)
            with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                writer = _Writer(media, container, job.encoding)
                broken = 0
                for packet in chain(packets, [None]):
                    frames = media.decode(packet)
                    broken += frames is None
                    for frame in frames or ():
                        writer.add(frame)
                return writer.end(name, broken)
    except VideoError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{name}: cannot be encoded ({error}); see if {job.target.parent} has space") from error


class _Writer:
    """Frames on their way from one container to another."""

    def __init__(self, media: Media, container: OutputContainer, encoding: Encoding) -> None:
        self._media = media
        self._container = container
        self._encoding = encoding
        self._rate = media.stream.average_rate or USUAL_RATE
        self._unit = media.stream.time_base or 1 / self._rate
        self._step = max(1, round(1 / (self._rate * self._unit)))  # from frame to frame, in units
        self._begin = 0
        self._last = -self._step
        self._count = 0
        self._view: View | None = None
        self._stream: VideoStream | None = None
        self._first: NDArray[np.uint8] | None = None

    def add(self, frame: VideoFrame) -> None:
        if self._view is None:
            # The first frame says how all are shown, as it does when they are read.
            self._view = _even(self._media.view(frame, self._encoding.short_side, square_pixels=False))
            self._begin = frame.pts or 0
        picture = np.ascontiguousarray(self._media.picture(frame, self._view))  # (H, W, 3)
        if self._stream is None:
            self._first = picture
            self._stream = self._open(picture)
        shown = VideoFrame.from_ndarray(picture, format="rgb24")
        time = None if frame.pts is None else frame.pts - self._begin
        self._last = time if time is not None and time > self._last else self._last + self._step
        shown.pts, shown.time_base = self._last, self._unit
        self._container.mux(self._stream.encode(shown))
        self._count += 1

    def end(self, name: str, broken: int) -> Decoded:
        if self._stream is None or self._first is None:
            raise VideoError(f"{name}: holds no frame that can be decoded; give a video file that plays")
        self._container.mux(self._stream.encode(None))
        return Decoded(
            pixels=self._first[None],
            indices=np.zeros(1, dtype=np.int64),
            times=np.zeros(1),
            total=self._count,
            damaged=np.zeros(1, dtype=np.bool_),
            missing=broken,
            source=name,
        )

    def _open(self, picture: NDArray[np.uint8]) -> VideoStream:
        """A stream for pictures like this one."""
        options = x264_options(self._encoding.quality) | {"g": str(KEY_FRAMES)}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._unit
        aspect = self._media.stream.sample_aspect_ratio
        if aspect and self._view is not None:
            stream.codec_context.sample_aspect_ratio = 1 / aspect if self._view.turns % 2 else aspect
        return stream


def _even(view: View) -> View:
    """The nearest size below that H.264 can store, whose colors are at half the resolution."""
    return replace(view, width=max(view.width // 2 * 2, 2), height=max(view.height // 2 * 2, 2))


def _targets(manifest: Manifest, out: Path) -> dict[str, Path]:
    """Where the prepared file of each file goes, by the manifest's paths."""
    # Without "..", which would lead out of the folder.
    files = {clip.path: Path(os.path.normpath(manifest.locate(clip).absolute())) for clip in manifest.clips}
    base = os.path.commonpath([file.parent for file in files.values()])
    wanted = {name: out / "videos" / file.relative_to(base).with_suffix(".mp4") for name, file in files.items()}
    counts = Counter(wanted.values())
    targets = {name: target for name, target in wanted.items() if counts[target] == 1}
    taken = set(targets.values())
    for name, target in wanted.items():
        if name not in targets:  # files of one name with other endings keep theirs
            stem = files[name].name
            names = (f"{stem}.mp4" if number == 1 else f"{stem}.{number}.mp4" for number in count(1))
            targets[name] = next(one for one in map(target.with_name, names) if one not in taken)
            taken.add(targets[name])
    return {name: targets[name] for name in wanted}
