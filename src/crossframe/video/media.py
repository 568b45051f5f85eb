"""One open video stream: its packets, its decoder, and its pictures as arrays; and how the encoder is set."""

from __future__ import annotations

import ctypes
import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import TypeAlias, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from crossframe.model.config import resized
from crossframe.processes import cores
from crossframe.video.guard import FORMATS, PROTOCOLS, Limits, VideoError, address, check_readable, failure

VideoPacket: TypeAlias = "Packet[VideoStream]"

# Threads hold frames of their own, and starting them takes time: they pay for big frames, and for smaller ones where a
# codec is slow to decode, unless the process reads beside others, to which it then leaves the processors.
BIG = 1920 * 1080
NOT_SMALL = 320 * 240
SLOW_CODECS = {"h264", "hevc"}
MAX_THREADS = 4
# From frame to frame FFmpeg guesses whether an MPEG-4 encoder ends them as it should, and so overlooks damage at first.
STRICT = {"mpeg4": {"bug": "0"}}
# What FFmpeg repairs without a word otherwise.
TELLING = {"hevc": {"err_detect": "explode"}}
# To find out what is not told, FFmpeg decodes the first frames of H.264 when a file is opened: a fifth of the time of
# short clips. It decodes none if told to leave all out, which goes for this look alone.
UNPROBED = {"skip_frame": "all"}
_beside_others = False
_limits = Limits()
# A process that reads clip after clip needs the same megabytes for each, which glibc would give back to the system and
# get anew, page by page. These are the highest of its own M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (malloc.h).
KEPT_MEMORY = {-3: 32 << 20, -1: 64 << 20}


def read_beside_others() -> None:
    """To be called once in a process that reads clips while other processes do."""
    global _beside_others
    _beside_others = True
    with suppress(AttributeError, OSError, TypeError):  # another C library than glibc
        for parameter, size in KEPT_MEMORY.items():
            ctypes.CDLL(None).mallopt(parameter, size)


# The endings of the names of files that FFmpeg reads as video; a file of another name is read where it is asked for.
_ENDINGS = (
    "264 265 3g2 3gp 3gpp amv asf av1 avi avs2 avs3 cavs dav dif divx dv evo f4v flv gif gxf h261 h263 h264 h265 hevc "
    "ifv ismv ivf m1v m2t m2ts m2v m4v mj2 mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nsv nut obu ogg ogm "
    "ogv qt rec rm rmvb roq swf tod trp ts vc1 vob vp8 vp9 vro webm wmv wtv xvid y4m"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS.split())


def videos_in(folder: Path) -> list[Path]:
    """The videos in a folder and below it, by the endings of their names, sorted."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES)


def left_out_of(files: Iterable[Path]) -> str | None:
    """One line about those files that are not taken for videos, by ending; None where there are none."""
    endings = Counter(file.suffix.lower() or "without an ending" for file in files)
    others = [(count, ending) for ending, count in endings.most_common() if ending not in VIDEO_SUFFIXES]
    if not others:
        return None
    counts = ", ".join(f"{count} {ending}" for count, ending in others)
    total = sum(count for count, _ in others)
    one = "1 file is left out, which is not called a video"
    return f"{one if total == 1 else f'{total} files are left out, which are not called videos'}: {counts}"


def files_below(root: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones. Links to folders are followed, a link that leads back is not."""
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def set_limits(limits: Limits) -> None:
    """Sets the limits for each file that this process reads from now on."""
    global _limits
    _limits = limits


def limits_here() -> Limits:
    """The cost that is allowed now for each file that this process reads."""
    return _limits


@contextmanager
def limited(limits: Limits) -> Generator[None]:
    """Inside, each file may cost this much, also where a loader made here reads it later."""
    before = limits_here()
    set_limits(limits)
    try:
        yield
    finally:
        set_limits(before)


@dataclass(frozen=True, slots=True)
class View:
    """How the frames of a video are shown: scaled to this size, then turned by quarters counterclockwise."""

    width: int
    height: int
    turns: int


@dataclass(slots=True)
class Media:
    """An open container and the video stream that is read from it."""

    name: str
    container: InputContainer
    stream: VideoStream
    number: int = 0  # of the stream, among the video streams
    notes: tuple[str, ...] = ()  # on what else the file holds
    limits: Limits = field(default_factory=lambda: _limits)
    read_errors: int = 0
    begun: float = field(default_factory=monotonic)
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def packets(self) -> Iterator[VideoPacket]:
        """The stream's packets in the order of the file, until it ends or breaks off, which `read_errors` counts."""
        packets = self.container.demux(self.stream)
        count = 0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.ExitError as error:
                raise self.limits.out_of_time(self.name) from error
            except (av.error.FFmpegError, ValueError, OverflowError) as error:
                if isinstance(error, MemoryError):
                    raise failure(self.name, error) from error
                self.read_errors += 1
                return
            self.check_time()
            if packet.size:
                count += 1
                if count > self.limits.frames:
                    raise VideoError(f"{self.name}: has more than {self.limits.frames} frames; cut it, or allow more")
                yield packet

    def check_time(self) -> None:
        """Raise VideoError when the time is over that reading this file may take."""
        if monotonic() - self.begun > self.limits.seconds:
            raise self.limits.out_of_time(self.name)

    def seek(self, time: int) -> bool:
        """Go on with a packet before this time, in the stream's own units; False where that is not possible."""
        try:
            self.container.seek(time, stream=self.stream)
        except av.error.FFmpegError:
            return False
        return True

    def promised_end(self, begin: float) -> float | None:
        """When the stream should end that begins at `begin`, in its own units; None where the file does not say."""
        # Matroska says it in a tag, in hours, minutes and seconds; what FFmpeg says instead is a guess there.
        tag = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", self.stream.metadata.get("DURATION", ""))
        if tag is None or self.stream.time_base is None:
            return None if self.stream.duration is None else begin + self.stream.duration
        hours, minutes, seconds = tag.groups()
        return (int(hours) * 3600 + int(minutes) * 60 + float(seconds)) / float(self.stream.time_base)

    def use_threads(self, wanted: bool) -> bool:
        """Decode in threads if `wanted` and if it pays, which is the answer. To be called before the first packet."""
        decoder = self.stream.codec_context
        threads = min(cores(), MAX_THREADS)
        enough = NOT_SMALL if decoder.name in SLOW_CODECS and not _beside_others else BIG
        if not wanted or threads == 1 or decoder.width * decoder.height < enough:
            decoder.thread_count = 1
            return False
        decoder.thread_type = "FRAME"
        decoder.thread_count = threads
        return True

    def be_strict(self, *, proven: bool) -> bool:
        """Take what is damaged for an error, where the decoder would not tell; whether it now does so.

        `proven` streams need no guesses, and so no frames before them. To be called before the first packet.
        """
        decoder = self.stream.codec_context
        telling = TELLING.get(decoder.name, {})
        decoder.options = telling | (STRICT.get(decoder.name, {}) if proven else {})
        return bool(telling)

    def decode(self, packet: VideoPacket | None) -> list[VideoFrame] | None:
        """The frames that a packet completes, or None if it is broken. No packet asks for those still held back."""
        self.check_time()
        try:
            return self.stream.codec_context.decode(packet)
        except MemoryError as error:
            raise failure(self.name, error) from error
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError, OverflowError):
            return None

    def seconds(self, frame: VideoFrame) -> float:
        """When a frame is shown, on the file's own clock; NaN where the file does not say."""
        unit = self.stream.time_base
        if frame.pts is None or unit is None:
            return float("nan")
        return frame.pts * unit.numerator / unit.denominator  # the same number as float(frame.pts * unit), and sooner

    def view(self, frame: VideoFrame, short_side: int | None, square_pixels: bool) -> View:
        """How to show frames like this one."""
        try:
            return self._view(frame, short_side, square_pixels)
        except Exception as error:
            raise failure(self.name, error) from error

    def _view(self, frame: VideoFrame, short_side: int | None, square_pixels: bool) -> View:
        width, height = frame.width, frame.height
        # Some files leave it to the coded pictures; the decoder knows by now.
        aspect = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        if square_pixels and aspect:
            # Stretched, never squeezed, so that nothing the file holds is lost.
            width, height = int(width * max(aspect, 1) + 0.5), int(height / min(aspect, 1) + 0.5)
        if short_side is not None and min(width, height) > short_side:
            width, height = resized(width, height, short_side)
        turns, rest = divmod(frame.rotation, 90)
        return View(width, height, 0 if rest else turns % 4)

    def picture(self, frame: VideoFrame, view: View) -> NDArray[np.uint8]:
        """A frame as people see it, uint8 (H, W, 3)."""
        # One reformatter for all frames: setting one up takes longer than converting a small frame, and so does waking
        # threads for it.
        threads = 1 if frame.width * frame.height < BIG else 0
        size, scaling = (None, None), None
        if (view.width, view.height) != (frame.width, frame.height):
            size, scaling = (view.width, view.height), "BICUBIC"
        try:
            shown = self._reformatter.reformat(frame, *size, format="rgb24", interpolation=scaling, threads=threads)
            picture = cast("NDArray[np.uint8]", shown.to_ndarray())
            return np.rot90(picture, view.turns) if view.turns else picture
        except Exception as error:
            raise failure(self.name, error) from error


def cut(packet: VideoPacket, data: bytes) -> VideoPacket:
    """A packet of the same time with other data."""
    piece = cast("VideoPacket", Packet(len(data)))  # FFmpeg's own memory, since decoders read a bit beyond the end
    piece.update(data)
    piece.pts, piece.dts, piece.time_base = packet.pts, packet.dts, packet.time_base
    return piece


def x264_options(quality: int) -> dict[str, str]:
    """FFmpeg's options for libx264 that give the same bytes for the same frames; `quality` is the constant rate factor.

    One thread, since files are encoded in parallel. No macroblock tree: for widths of an odd number of macroblocks it
    reads uninitialized memory, and the same frames gave different bytes from one process to the next.
    """
    return {"crf": str(quality), "preset": "veryfast", "threads": "1", "x264-params": "no-mbtree=1"}


@contextmanager
def open_media(
    source: Path | bytes, name: str, *, probe: bool = True, stream: int | None = None, limits: Limits | None = None
) -> Generator[Media]:
    """Open a file, or the bytes of one, and close it on the way out.

    Without `probe`, its decoder knows only what headers tell, which will do where they prove what is to be decoded.
    `stream` counts the video streams without attached pictures; by default it is the one that FFmpeg would take.

    Raises VideoError for what cannot be opened or holds no video.
    """
    limits = limits or _limits
    begun = monotonic()
    check_readable(source, name, limits)
    file, protocols = (BytesIO(source), "none") if isinstance(source, bytes) else (address(source), PROTOCOLS)
    try:
        container = av.open(
            file,
            mode="r",
            options={} if probe else UNPROBED,
            container_options={"format_whitelist": FORMATS, "protocol_whitelist": protocols},
            metadata_errors="replace",
            timeout=limits.seconds,
        )
    except av.error.ExitError as error:
        raise limits.out_of_time(name) from error
    except av.error.InvalidDataError as error:
        reason = "is not a video, or is cut off so early that nothing of it can be read"
        raise VideoError(f"{name}: {reason}; give a video file that plays") from error
    except av.error.ArgumentError as error:
        raise VideoError(f"{name}: is no video, or more than one file; give a video file that plays") from error
    except Exception as error:
        raise failure(name, error) from error
    with container:
        streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
        if not streams:
            raise VideoError(f"{name}: holds no video; give a file with moving pictures")
        number = _usual(streams) if stream is None else stream
        if not 0 <= number < len(streams):
            raise VideoError(f"{name}: has no video stream {number}; its {len(streams)} are 0 to {len(streams) - 1}")
        if streams[number].codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]  (PyAV says it never is)
            raise VideoError(f"{name}: has a format that cannot be decoded; convert it, to H.264 for instance")
        several = stream is None and len(streams) > 1
        note = f"has {len(streams)} video streams, of which {number} is read; stream=0 to {len(streams) - 1} chooses"
        yield Media(name, container, streams[number], number, (note,) if several else (), limits, begun=begun)


def _usual(streams: Sequence[VideoStream]) -> int:
    """The stream that FFmpeg would take: one marked as the default before others, then the largest, then the first.

    A single picture comes last: that is how an animated AVIF shows its cover.
    """

    def rank(number: int) -> tuple[bool, bool, int, int]:
        decoder = streams[number].codec_context
        size = 0 if decoder is None else decoder.width * decoder.height  # pyright: ignore[reportUnnecessaryComparison]
        default = bool(streams[number].disposition & Disposition.default)
        return streams[number].frames != 1, default, size, -number

    return max(range(len(streams)), key=rank)
