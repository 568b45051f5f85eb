"""One open video stream: its packets, its decoder, and its pictures as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from crossframe.video.frames import VideoError
from crossframe.video.geometry import resized

# Frame threading delays every frame by the number of threads: it pays for big frames only, and each thread holds frames of its own.
THREADS_FROM_PIXELS = 1920 * 1080
MAX_THREADS = 4

# FFmpeg draws text files as video of a terminal.
NOT_VIDEO = {"tty"}


@dataclass(slots=True)
class Media:
    """An open container and the video stream that is read from it."""

    name: str
    container: InputContainer
    stream: VideoStream
    read_errors: int = 0
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def packets(self) -> Iterator[Packet]:
        """The stream's packets in the order of the file; where the file breaks off, they end."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.read_errors += 1
                return
            if packet.size:
                yield packet

    def use_threads(self, wanted: bool) -> None:
        """Choose how to decode; before the first packet only."""
        decoder = self.stream.codec_context
        big = decoder.width * decoder.height >= THREADS_FROM_PIXELS
        if wanted and big:
            decoder.thread_type = "FRAME"
            decoder.thread_count = min(os.cpu_count() or 1, MAX_THREADS)
        else:
            decoder.thread_count = 1

    def decode(self, packet: Packet | None) -> list[VideoFrame] | None:
        """The frames that a packet completes; None asks for those still held back. Returns None for a packet that is broken."""
        try:
            return self.stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.MemoryError as error:
            raise VideoError(f"{self.name}: decoding needs more memory than there is; give it more, or a smaller video") from error
        except av.error.FFmpegError:
            return None

    def picture(self, frame: VideoFrame, short_side: int | None, square_pixels: bool) -> NDArray[np.uint8]:
        """A frame as people see it: uint8 (H, W, 3), scaled if asked for, turned as the file says."""
        width, height = self._size(frame, short_side, square_pixels)
        if (width, height) == (frame.width, frame.height):
            shown = self._reformatter.reformat(frame, format="rgb24")
        else:
            shown = self._reformatter.reformat(frame, width, height, format="rgb24", interpolation="BICUBIC")
        pixels = shown.to_ndarray()
        turns, rest = divmod(frame.rotation, 90)  # quarter turns, counterclockwise
        return pixels if rest or turns % 4 == 0 else np.rot90(pixels, turns)

    def _size(self, frame: VideoFrame, short_side: int | None, square_pixels: bool) -> tuple[int, int]:
        width, height = frame.width, frame.height
        aspect = self.stream.sample_aspect_ratio
        if square_pixels and aspect:
            # Pixels are stretched, never squeezed, so that nothing the file holds is lost.
            width, height = int(width * max(aspect, 1) + 0.5), int(height / min(aspect, 1) + 0.5)
        if short_side is not None and min(width, height) > short_side:
            width, height = resized(width, height, short_side)
        return width, height


@contextmanager
def open_media(source: Path | bytes, name: str) -> Iterator[Media]:
    """Open a file or its bytes; the file is closed on the way out.

    Raises VideoError for what cannot be opened or holds no video.
    """
    try:
        # The prefix keeps FFmpeg from taking a name with a colon for an address.
        container = av.open(BytesIO(source) if isinstance(source, bytes) else f"file:{source}")
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{name}: {_reason(error)}; give a video file that plays") from error
    with container:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams or NOT_VIDEO.intersection(container.format.name.split(",")):
            raise VideoError(f"{name}: holds no video; give a file with pictures that move")
        yield Media(name, container, streams[0])


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "is not a video, or its beginning or end is lost"
    if isinstance(error, PermissionError):
        return "may not be read"
    return f"cannot be opened ({getattr(error, 'strerror', None) or error})"
