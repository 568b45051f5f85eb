"""One pass of a decoder over a stream: what it keeps of the frames that come, and what was wrong with them.

Nothing here needs torch; see `exact`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from crossframe.video.media import Media, VideoPacket, View

IndexOf: TypeAlias = Callable[[VideoFrame], int | None]  # which frame of the video it is; None where that is unclear


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


NewCollector: TypeAlias = Callable[[Sequence[int]], Collector]
