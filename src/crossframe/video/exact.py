"""The wanted frames of one file, exactly those of a full decode, as arrays.

Two ways lead to the same frames. Where the headers of the stream prove which packets the wanted frames need,
only those are decoded. Everywhere else, and wherever anything looks damaged, every frame is decoded and
counted. Nothing here needs torch, so that a process which only decodes starts quickly and stays small.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from av.video.frame import VideoFrame

from crossframe.video.collect import Collector, Decoded
from crossframe.video.error import VideoError
from crossframe.video.media import Media, VideoPacket, open_media
from crossframe.video.plan import Plan, Scan, scan
from crossframe.video.wanted import Choice, Sampling, Wanted, source_name

NewCollector: TypeAlias = Callable[[list[int]], Collector]


def read_arrays(
    source: str | os.PathLike[str] | bytes,
    num_frames: int = 8,
    *,
    sampling: Sampling = "sparse",
    indices: Sequence[int] | Choice | None = None,
    short_side: int | None = None,
    square_pixels: bool = False,
) -> Decoded:
    """`decode.read_video` for a path or bytes, without its warnings and without tensors."""
    name = source_name(source)
    wanted = Wanted(name, num_frames, sampling, indices)
    if short_side is not None and short_side < 1:
        raise VideoError(f"{name}: a short side of {short_side} is not possible; use 1 or more")
    data = source if isinstance(source, bytes) else Path(source)
    with open_media(data, name, probe=False) as media:
        stream = _Stream(name, data, media, scan(media))
        collector = partial(Collector, short_side=short_side, square_pixels=square_pixels)
        decoded = _decode_needed(stream, wanted, stream.found.plan, collector) if stream.found.plan else None
        return decoded or _decode_all(stream, wanted, collector)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream that has been scanned, for one decoder after the other."""

    name: str
    data: Path | bytes
    scanned: Media  # without a probe; its decoder is unused
    found: Scan

    @contextmanager
    def start(self, *, probe: bool) -> Generator[tuple[Media, Iterable[VideoPacket]]]:
        """A fresh decoder, and all packets: those that the scan has kept, or else of the file opened once more."""
        kept = self.found.packets
        if kept is not None and not probe:
            yield self.scanned, kept
            return
        with open_media(self.data, self.name, probe=probe) as again:
            yield again, again.packets() if kept is None else kept


def _decode_needed(stream: _Stream, wanted: Wanted, plan: Plan, new_collector: NewCollector) -> Decoded | None:
    """Decode what the plan says; None if the stream does not keep to it, which damage can cause."""
    found = stream.found
    collector = new_collector(wanted.of(found.shown))
    needed = plan.needed(collector.indices)
    shown = plan.shown(needed)
    expected = iter(shown)

    def index_of(frame: VideoFrame) -> int | None:
        index = next(expected, None)
        as_planned = index is None or plan.times is None or frame.pts == plan.times[index]
        return index if as_planned else None

    with stream.start(probe=False) as (media, packets):
        media.use_threads(True)
        media.be_strict()
        collector.run(media, plan.select(packets, needed), index_of)
        kept_to_plan = collector.complete and collector.count == len(shown)
        kept_to_plan = kept_to_plan and (collector.timed or plan.times is None)
        if not kept_to_plan or collector.damaged or collector.broken or media.read_errors:
            return None
        collector.timed = plan.times is not None
        return collector.result(media, found.shown, found.missing)


def _decode_all(stream: _Stream, wanted: Wanted, new_collector: NewCollector) -> Decoded:
    """Decode and count every frame: again if there are not as many as packets, and without threads if there
    is damage.

    Threads do not change what a sound stream shows; what a decoder makes of a damaged one can depend on them.
    """
    found = stream.found
    total, may_thread = max(found.shown, 1), True
    for _ in range(3):
        collector = new_collector(wanted.supposing(total))
        with stream.start(probe=True) as (media, packets):
            threaded = media.use_threads(may_thread)
            collector.run(media, packets, lambda _frame, seen=collector: seen.count)
            if collector.count == 0:
                raise VideoError(f"{wanted.name}: holds no frame that can be decoded; give a video file that plays")
            may_thread = not (collector.damaged or collector.broken)
            if wanted.of(collector.count) == collector.indices and (may_thread or not threaded):
                return collector.result(media, collector.count, found.missing + collector.broken)
            total = collector.count
    raise VideoError(
        f"{wanted.name}: shows other frames each time it is read; copy it first if it is still being written"
    )
