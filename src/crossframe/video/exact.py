"""The wanted frames of one file, exactly those of a full decode, as arrays.

Two ways lead to the same frames. Where the container and the headers tell which packets the wanted frames need, only
those are decoded. Everywhere else, and wherever anything looks damaged, every frame is decoded and counted. A video is
scanned once and can then be read many times. Nothing here needs torch, so that a process which only decodes starts
quickly and stays small.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias, cast

import numpy as np
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from crossframe.pace import figure
from crossframe.taught import FrameRule
from crossframe.video.given import File, Limits, Readable, Video, VideoError, at_hand
from crossframe.video.media import Media, VideoPacket, View, open_media
from crossframe.video.plan import Plan, Scan, scan
from crossframe.video.sample import Choice, Wanted

IndexOf: TypeAlias = Callable[[VideoFrame], int | None]  # which frame of the video it is; None where that is unclear
UNEVEN = 10  # times the shortest gap between frames is the longest, where even counts are no even times


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """`decode.Frames` before they are tensors; the fields mean the same."""

    pixels: NDArray[np.uint8]  # (T, H, W, 3), as FFmpeg writes them
    indices: NDArray[np.int64]  # (T,)
    times: NDArray[np.float64]  # (T,)
    total: int
    damaged: NDArray[np.bool_]  # (T,)
    missing: int
    source: str
    notes: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    begins: float = 0.0


@dataclass(slots=True)
class Pass(ABC):
    """Counts the frames of a stream as a decoder shows them, and notes which of them are damaged."""

    short_side: int | None
    square_pixels: bool
    count: int = 0  # frames seen
    broken: int = 0  # packets that gave an error instead of frames
    damaged: bool = False  # the decoder had to repair a frame, wanted or not
    timed: bool = True  # every frame has a time, later than that of the frame before
    suspects: set[int | None] = field(default_factory=set)  # times of pictures that are known to be damaged
    last_reference: int = -1  # the last frame that is no B-picture
    _last_time: int | None = None
    _spoilt: bool = False  # the decoder goes on from something damaged
    _damage: list[tuple[int, int]] = field(default_factory=list)  # stretches of frames, the last one excluded

    @abstractmethod
    def keep(self, media: Media, index: int, frame: VideoFrame) -> None:
        """Take what is wanted of a frame, the one of this number."""

    def run(self, media: Media, packets: Iterable[VideoPacket], index_of: IndexOf) -> None:
        """Decode `packets` to the end; `index_of` tells which frame of the video a frame is."""
        for packet in packets:
            self.feed(media, packet, index_of)
        self.feed(media, None, index_of)

    def feed(self, media: Media, packet: VideoPacket | None, index_of: IndexOf) -> None:
        """Decode one packet; None asks for the frames that are held back."""
        frames = media.decode(packet)
        if frames is None:
            if packet is not None:
                self.suspects.add(packet.pts)
            self.broken += 1
            self._spoilt = True
            return
        for frame in frames:
            self._watch(frame)
            if frame.pts is None or (self._last_time is not None and frame.pts <= self._last_time):
                self.timed = False
            self._last_time = frame.pts
            index = index_of(frame)
            if index is not None:
                self.keep(media, index, frame)
            self.count += 1

    def damage_of(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(T,) -> (T,), True where a frame is damaged."""
        damaged = np.zeros(len(indices), dtype=np.bool_)
        for first, last in self._damage:
            damaged |= (first <= indices) & (indices < last)
        return damaged

    def times_of(self, media: Media, indices: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,), (T,) as the file tells them -> (T,) in seconds."""
        if self.timed:
            return times
        # The file's times are missing or wrong: what is left is its frame rate.
        rate = media.stream.average_rate
        return indices / float(rate) if rate else np.full(len(indices), np.nan)

    def _watch(self, frame: VideoFrame) -> None:
        """Note damage: from a frame that had to be repaired to the next that needs no other, and B-pictures before it.

        What the decoder has repaired it has repaired in all that refers to it.
        """
        repaired = frame.is_corrupt or (frame.pts is not None and frame.pts in self.suspects)
        first = self.count
        if repaired:
            self.damaged = self._spoilt = True
            self.suspects.add(frame.pts)
            first = self.last_reference + 1
        elif frame.key_frame and frame.pict_type == PictureType.I:
            self._spoilt = False
        if self._spoilt:
            self._note(first)
        if frame.pict_type != PictureType.B:
            self.last_reference = self.count

    def _note(self, first: int) -> None:
        """The frames from `first` to this one are damaged."""
        if self._damage and first <= self._damage[-1][1]:
            first = min(first, self._damage.pop()[0])
        self._damage.append((first, self.count + 1))


@dataclass(slots=True)
class Collector(Pass):
    """Keeps the frames `indices`, in that order, each converted when it comes.

    Memory follows the frames that are kept, at the size in which they are kept.
    """

    indices: Sequence[int] = ()
    _places: dict[int, list[int]] = field(init=False)  # frames still to come, and their places in the result
    _times: NDArray[np.float64] = field(init=False)
    _view: View | None = None
    _pixels: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        self._places = {}
        for place, index in enumerate(self.indices):
            self._places.setdefault(index, []).append(place)
        self._times = np.full(len(self.indices), np.nan)

    @property
    def complete(self) -> bool:
        return not self._places

    def result(self, media: Media, total: int, missing: int, notes: tuple[str, ...] = ()) -> Decoded:
        if self._pixels is None or not self.complete:
            raise RuntimeError(f"frames {sorted(self._places)} of {media.name} have not been collected")
        indices = np.array(self.indices, dtype=np.int64)
        times = self.times_of(media, indices, self._times)
        return Decoded(self._pixels, indices, times, total, self.damage_of(indices), missing, media.name, notes)

    def keep(self, media: Media, index: int, frame: VideoFrame) -> None:
        if index not in self._places:
            return
        # The first frame says how all are shown, should the stream change its size on the way.
        self._view = self._view or media.view(frame, self.short_side, self.square_pixels)
        if self._pixels is None:
            size = 3 * self._view.width * self._view.height
            media.limits.check_memory(media.name, len(self.indices) * size)
        picture = media.picture(frame, self._view)
        if self._pixels is None:
            self._pixels = np.empty((len(self.indices), *picture.shape), dtype=np.uint8)
        for place in self._places.pop(index):
            self._pixels[place] = picture
            self._times[place] = media.seconds(frame)


def read_arrays(
    source: File | Readable | Video,
    num_frames: int = 8,
    *,
    sampling: FrameRule = "sparse",
    indices: Sequence[int] | Choice | None = None,
    stream: int | None = None,
    limits: Limits | None = None,
    longest: float | None = None,
    **view: Any,
) -> Decoded:
    """`decode.read_video` for one file, without its warnings and without tensors.

    `view` has its `short_side` and `square_pixels`; `limits` are those of `open_video`. What lasts longer than
    `longest` seconds is refused before anything is decoded.
    """
    with at_hand(source) as given:
        whole = Wanted(given.name, num_frames, sampling, indices)  # which no file need be opened for, to be refused
        with open_video(given, stream=stream, limits=limits) as video:
            part = None if given.whole else video.frame_range(given.start, given.end)
            if longest is not None:
                video.check_length(part, longest)
            if part is None:
                return video.read(whole, **view)
            decoded = video.read(Wanted(given.name, num_frames, sampling, indices, part), **view)
            return replace(decoded, start=given.start, end=given.end)


@contextmanager
def open_video(
    source: File | Readable | Video, *, stream: int | None = None, limits: Limits | None = None
) -> Generator[OpenVideo]:
    """Open and scan a file, or the bytes of one, and close it on the way out. Of a part, it is the whole video.

    `stream` counts the video streams, without pictures that are attached to them; FFmpeg's own choice if not given.
    `limits` hold for all that is read while it is open; by default those of the process (`given.set_limits`).

    Raises VideoError for what cannot be opened or holds no video.
    """
    with at_hand(source) as video:
        data = cast("Path | bytes", video.source)
        with open_media(data, video.name, probe=False, stream=stream, limits=limits) as media:
            yield OpenVideo(data, media, scan(media))


class OpenVideo:
    """A video that has been scanned, for one read after the other: parts of it, views, windows. See `open_video`."""

    def __init__(self, source: Path | bytes, media: Media, found: Scan) -> None:
        self.name = media.name
        self.found = found
        self._source = source
        self._scanned = media  # without a probe
        self._unused = self._unread = True  # its decoder, this video

    @cached_property
    def times(self) -> list[float]:
        """When each frame is shown, in seconds after the first; from the frame rate where the file has no times.

        An undamaged file has as many frames. Empty where nobody knows.
        """
        unit, rate, stamps = self._scanned.stream.time_base, self._scanned.stream.average_rate, self.found.times
        if stamps and unit:
            first, above, below = stamps[0], unit.numerator, unit.denominator
            return [(stamp - first) * above / below for stamp in stamps]  # float((stamp - first) * unit), and sooner
        return [float(number / rate) for number in range(self.found.shown)] if rate else []

    @property
    def duration(self) -> float:
        """Seconds from the first frame until the last one ends; 0 where nobody knows."""
        return self.clock(self.found.shown)[1]

    def frame_range(self, start: float | None, end: float | None) -> tuple[int, int]:
        """The frames shown from `start` until before `end`, in seconds after the first frame: (first, last + 1).

        Nothing is decoded. Raises VideoError where there is no such frame.
        """
        if not self.times and self.found.shown:
            raise VideoError(f"{self.name}: has neither timestamps nor a frame rate; cut the clip into its own file")
        margin = 1e-6  # a frame at 0.3 s belongs to a clip that starts at 0.3 s, whatever the fractions say
        first = 0 if start is None else bisect_left(self.times, start - margin)
        last = len(self.times) if end is None else bisect_left(self.times, end - margin)
        if first >= last:
            length = self.times[-1] if self.times else 0.0
            part = f"from {start or 0} s on" if end is None else f"from {start or 0} to {end} s"
            raise VideoError(f"{self.name}: has no frame {part}; its last is at {length:.2f} s")
        return first, last

    def check_length(self, part: tuple[int, int] | None, longest: float) -> None:
        """Raise VideoError where the video, or a part by its `frame_range`, lasts longer than so many seconds."""
        times, end = self.clock(self.found.shown)
        if not times:
            return
        first, last = part or (0, len(times))
        length = (times[last] if last < len(times) else end) - times[first]
        if length > longest:
            most = f"{figure(longest)} s are the most; ask for a part, with start and end"
            raise VideoError(f"{self.name}: lasts {figure(length)} s, and {most}")

    def read(self, wanted: Wanted, *, short_side: int | None = None, square_pixels: bool = False) -> Decoded:
        """The wanted frames; see `decode.read_video`."""
        if short_side is not None and short_side < 1:
            raise VideoError(f"{self.name}: a short side of {short_side} is not possible; use 1 or more")
        if not self._unread:
            self._scanned.begun = monotonic()  # the limits hold for each read; those of the first hold the scan too
        self._unread = False
        new = partial(Collector, short_side, square_pixels)
        decoded = self._decode_needed(wanted, self.found.plan, new) if self.found.plan else None
        return replace(decoded or self._decode_all(wanted, new), begins=self.found.begins)

    @contextmanager
    def start(self, *, probe: bool) -> Generator[tuple[Media, Iterable[VideoPacket]]]:
        """A fresh decoder, and all packets: those that the scan has kept, or else of the file opened once more."""
        kept = self.found.packets
        if kept is not None and not probe and self._unused:
            self._unused = False
            yield self._scanned, kept
            return
        media = self._scanned
        with open_media(self._source, self.name, probe=probe, stream=media.number, limits=media.limits) as again:
            again.begun = media.begun
            yield again, again.packets() if kept is None else kept

    def _decode_needed(self, wanted: Wanted, plan: Plan, new: Callable[..., Collector]) -> Decoded | None:
        """Decode what the plan says; None if the stream does not keep to it, which damage can cause."""
        found = self.found
        collector = new(indices=wanted.of(found.shown, *self.clock(found.shown)))
        needed = plan.needed(collector.indices)
        shown = plan.shown(needed)
        expected = iter(shown)

        def index_of(frame: VideoFrame) -> int | None:
            index = next(expected, None)
            as_planned = index is None or plan.times is None or frame.pts == plan.times[index]
            return index if as_planned else None

        with self.start(probe=False) as (media, packets):
            media.use_threads(True)
            media.be_strict(proven=True)
            numbered = self.numbered(media, packets, needed[0], plan)
            collector.run(media, plan.select(numbered, needed), index_of)
            kept_to_plan = collector.complete and collector.count == len(shown)
            kept_to_plan = kept_to_plan and (collector.timed or plan.times is None)
            if not kept_to_plan or collector.damaged or collector.broken or media.read_errors:
                return None
            collector.timed = plan.times is not None
            return collector.result(media, found.shown, found.missing, self.notes(wanted))

    def numbered(
        self, media: Media, packets: Iterable[VideoPacket], first: int, plan: Plan
    ) -> Iterator[tuple[int, VideoPacket]]:
        """Numbered packets from the one before `first` on, or from an earlier one, without reading all before."""
        time = plan.time_of(first)
        if self.found.packets is not None or time is None or first == 0 or not media.seek(time):
            return enumerate(packets)
        numbers = self._numbers
        return ((numbers[packet.pts], packet) for packet in packets if packet.pts in numbers)

    @cached_property
    def _numbers(self) -> dict[int | None, int]:
        plan = self.found.plan
        return {plan.time_of(number): number for number in range(self.found.shown)} if plan else {}

    def _decode_all(self, wanted: Wanted, new: Callable[..., Collector]) -> Decoded:
        """Decode and count every frame: again if there are not as many as packets, and without threads if there
        is damage.

        Threads do not change what a sound stream shows; what a decoder makes of a damaged one can depend on them. A
        decoder that was told to tell of damage leaves pictures out, so that another one must show them.
        """
        found = self.found
        total, may_thread, strict = max(found.shown, 1), True, True
        suspects: set[int | None] = set()
        for _ in range(4):
            collector = new(indices=wanted.supposing(total, *self.clock(total)))
            collector.suspects |= suspects
            with self.start(probe=True) as (media, packets):
                threaded = media.use_threads(may_thread)
                strict = strict and media.be_strict(proven=False)
                collector.run(media, packets, lambda _frame, seen=collector: seen.count)
                troubled = collector.damaged or collector.broken > 0
                if troubled and (threaded or strict):
                    suspects, strict = (suspects, strict) if threaded else (collector.suspects, False)
                    may_thread = False
                    continue
                count = collector.count
                if count == 0:
                    raise VideoError(f"{self.name}: holds no frame that can be decoded; give a video file that plays")
                if wanted.of(count, *self.clock(count)) == collector.indices:
                    return collector.result(media, count, found.missing + collector.broken, self.notes(wanted))
                total = count
        raise VideoError(
            f"{self.name}: shows other frames each time it is read; copy it first if it is still being written"
        )

    def clock(self, total: int) -> tuple[Sequence[float], float]:
        """When each of `total` frames is shown, and when the last one ends."""
        times, unit = self.times, self._scanned.stream.time_base
        if len(times) != total:
            return (), 0.0
        stamps = self.found.times
        end = float((self.found.end - stamps[0]) * unit) if stamps and unit else 0.0
        # A last frame without a duration is shown for as long as the one before.
        return times, end if end > times[-1] else 2 * times[-1] - times[max(total - 2, 0)]

    def notes(self, wanted: Wanted) -> tuple[str, ...]:
        """Lines about what else the file holds, and of the times of its frames if `wanted` goes by their count."""
        gaps = [later - time for time, later in pairwise(self.times)] if wanted.evenly else []
        if not gaps or max(gaps) < UNEVEN * min(gaps):
            return self._scanned.notes
        apart = f"{figure(min(gaps))} to {figure(max(gaps))} seconds lie between its frames"
        return (*self._scanned.notes, f"{apart}; sampling 'time' goes by the clock")
