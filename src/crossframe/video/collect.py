"""One pass of a decoder over a stream: the wanted frames are kept, all of them are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from crossframe.video.media import Media, VideoPacket, View


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """`frames.Frames` before they are tensors; the fields mean the same."""

    pixels: NDArray[np.uint8]  # (T, H, W, 3), as FFmpeg writes them
    indices: NDArray[np.int64]  # (T,)
    times: NDArray[np.float64]  # (T,)
    total: int
    damaged: NDArray[np.bool_]  # (T,)
    missing: int
    source: str


@dataclass(slots=True)
class Collector:
    """Keeps the frames `indices` of a stream, in that order, each converted when it comes.

    Memory follows the frames that are kept, at the size in which they are kept.
    """

    indices: list[int]
    short_side: int | None
    square_pixels: bool
    count: int = 0  # frames seen
    broken: int = 0  # packets that gave an error instead of frames
    damaged: bool = False  # the decoder had to repair a frame, wanted or not
    timed: bool = True  # every frame has a time, later than that of the frame before
    _last_time: int | None = None
    _places: dict[int, list[int]] = field(init=False)  # frames still to come, and their places in the result
    _times: NDArray[np.float64] = field(init=False)
    _repaired: NDArray[np.bool_] = field(init=False)
    _view: View | None = None
    _pixels: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        self._places = {}
        for place, index in enumerate(self.indices):
            self._places.setdefault(index, []).append(place)
        self._times = np.full(len(self.indices), np.nan)
        self._repaired = np.zeros(len(self.indices), dtype=np.bool_)

    def run(self, media: Media, packets: Iterable[VideoPacket], index_of: Callable[[VideoFrame], int | None]) -> None:
        """Decode `packets` to the end; `index_of` tells which frame of the video a frame is."""
        for packet in packets:
            self._take(media, media.decode(packet), index_of)
        self._take(media, media.decode(None), index_of)

    @property
    def complete(self) -> bool:
        return not self._places

    def result(self, media: Media, total: int, missing: int) -> Decoded:
        if self._pixels is None or not self.complete:
            raise RuntimeError(f"frames {sorted(self._places)} of {media.name} have not been collected")
        indices = np.array(self.indices, dtype=np.int64)
        times = self._times
        if not self.timed:
            # The file's times are missing or wrong: what is left is its frame rate.
            rate = media.stream.average_rate
            times = indices / float(rate) if rate else np.full(len(indices), np.nan)
        return Decoded(self._pixels, indices, times, total, self._repaired, missing, media.name)

    def _take(
        self, media: Media, frames: list[VideoFrame] | None, index_of: Callable[[VideoFrame], int | None]
    ) -> None:
        if frames is None:
            self.broken += 1
            return
        for frame in frames:
            self.damaged = self.damaged or frame.is_corrupt
            if frame.pts is None or (self._last_time is not None and frame.pts <= self._last_time):
                self.timed = False
            self._last_time = frame.pts
            index = index_of(frame)
            if index in self._places:
                self._keep(media, index, frame)
            self.count += 1

    def _keep(self, media: Media, index: int, frame: VideoFrame) -> None:
        # The first frame says how all are shown, should the stream change its size on the way.
        self._view = self._view or media.view(frame, self.short_side, self.square_pixels)
        picture = media.picture(frame, self._view)
        if self._pixels is None:
            self._pixels = np.empty((len(self.indices), *picture.shape), dtype=np.uint8)
        for place in self._places.pop(index):
            self._pixels[place] = picture
            self._times[place] = media.seconds(frame)
            self._repaired[place] = frame.is_corrupt
