"""Decoding every video of a data set to its last frame, to find broken files beforehand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossframe.data.manifest import Manifest
from crossframe.data.resumable import Outcome, Work, process_each
from crossframe.video.exact import Collector, Decoded, open_video
from crossframe.video.given import VideoError


def verify(manifest: Manifest, record: Path, *, workers: int = 2, timeout: float = 300.0) -> Iterator[Outcome]:
    """Decode every file once; yields an outcome for each, and one more for each clip that lies outside its file.

    A file is sound if all frames that its container announces are there and decode without error. Sound files are kept
    in `record`, and skipped as long as their size and date stay the same.
    """
    files = {clip.path: manifest.locate(clip) for clip in manifest.clips}
    sound: set[str] = set()
    for outcome in process_each(files, Work(decode_fully), record, workers=workers, timeout=timeout):
        if outcome.problem is None:
            sound.add(outcome.name)
        yield outcome
    yield from _outside(manifest, sound)


def record_of(source: Path) -> Path:
    """Where the outcomes for a manifest are kept: beside it, or inside a folder of clips.

    >>> record_of(Path("data/list.csv")).as_posix()
    'data/list.verified.jsonl'
    """
    return source / "verified.jsonl" if source.is_dir() else source.with_suffix(".verified.jsonl")


def decode_fully(source: str | os.PathLike[str], _num_frames: int = 1, **_options: Any) -> Decoded:
    """Decode a file to its end and return its first frame, with the count of all.

    Raises VideoError for anything wrong, even where `read_video` would only warn.
    """
    collector = Collector(short_side=None, square_pixels=False, indices=[0])
    with open_video(source) as video, video.start(probe=True) as (media, packets):
        name, missing = video.name, video.found.missing
        media.use_threads(False)
        media.be_strict(proven=False)
        collector.run(media, packets, lambda _frame: collector.count)
        if not collector.count:
            raise VideoError(f"{name}: holds no frame that can be decoded")
        if media.read_errors:
            raise VideoError(f"{name}: breaks off after {collector.count} frames")
        if collector.broken:
            raise VideoError(f"{name}: {collector.broken} packets beside {collector.count} frames cannot be decoded")
        if collector.damaged:
            raise VideoError(f"{name}: some of its {collector.count} frames are damaged")
        if missing:
            raise VideoError(f"{name}: ends early, about {missing} frames after its {collector.count} are missing")
        return collector.result(media, collector.count, 0)


def _outside(manifest: Manifest, sound: set[str]) -> Iterator[Outcome]:
    """Clips without a single frame, of sound files."""
    for clip in manifest.clips:
        if clip.path in sound and (clip.start is not None or clip.end is not None):
            path = manifest.locate(clip)
            try:
                with open_video(path) as video:
                    video.frame_range(clip.start, clip.end)
            except VideoError as error:
                yield Outcome(clip.name, 0, str(error).removeprefix(f"{path}: "))
