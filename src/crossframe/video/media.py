"""One open video stream: its packets, its decoder, and its pictures as arrays; and how the encoder is set.

FFmpeg goes where a file's content sends it: playlists, scripts and descriptions of sessions open other files and
sockets. Only formats that hold their pictures themselves are read, whatever the file is called.
"""

from __future__ import annotations

import ctypes
import re
import stat
import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import BinaryIO, TypeAlias, cast

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
from crossframe.video.boxes import leaves
from crossframe.video.given import Limits, VideoError, address, failure, file_of, limits_here, member

VideoPacket: TypeAlias = "Packet[VideoStream]"

# FFmpeg's own names. Left out, beside sound and subtitles: concat, dash, hls, imf, sdp, rtsp, rtp, sap, mlv,
# webm_dash_manifest and vobsub, which open other files or sockets; image2, which takes a name for a pattern; lavfi and
# devices; tty, which draws text.
FORMATS = ",".join(
    (
        "4xm,amv,anm,apng,asf,av1,avi,avs,avs2,avs3,bethsoftvid,bfi,bink,bmv,c93,cavsvideo,cdxl,cine",
        "dcstr,dfa,dhav,dirac,dnxhd,dv,dxa,ea,film_cpk,flic,flv,gdv,gif,gxf,h261,h263,h264,hevc,hnm,idcin,iff,ifv,ipu",
        "iv8,ivf,jpegxl_anim,jv,kux,live_flv,lmlm4,lvf,lxf,m4v,matroska,mgsts,mjpeg,mjpeg_2000,mm,mods,moflex,mov",
        "mpeg,mpegts,mpegvideo,mtv,mv,mvi,mxf,mxg,nsv,nut,nuv,obu,ogg,paf,pmp,psxstr,pva,r3d,rl2,rm,roq,rpl,ser,siff",
        "smjpeg,smk,smush,swf,thp,tiertexseq,tmv,ty,usm,vc1,vc1test,vividas,vivo,vmd,vvc,wc3movie,webm,wsvqa,wtv,xmv",
        "yop,yuv4mpegpipe,bmp_pipe,dpx_pipe,exr_pipe,gif_pipe,j2k_pipe,jpeg_pipe,jpegxl_pipe,png_pipe,ppm_pipe,tiff_pipe",
        "webp_pipe",
    )
)
# A file of the disk, or a part of one; bytes need no protocol.
PROTOCOLS = "file,subfile"
PLAYLISTS = (b"ffconcat", b"#EXTM3U", b"<?xml", b"<MPD", b"v=0", b"[playlist]", b"RTSPtext", b"[Reference]")
WEBP_MOVES = 0x02  # the flag of an animation, in a WebP's extended header
ENTRY = 64  # bytes that FFmpeg takes for each frame of such a table while it opens a file: 4.4 GB for 2^26 of them

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
    limits: Limits = field(default_factory=limits_here)
    read_errors: int = 0
    begun: float = field(default_factory=monotonic)
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    def packets(self) -> Iterator[VideoPacket]:
        """The stream's packets in the order of the file, until it ends or breaks off, which `read_errors` counts."""
        packets, count = demuxed(self.container, self.stream), 0
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


def demuxed(container: InputContainer, stream: VideoStream) -> Iterator[VideoPacket]:
    """The packets of a stream, and at the end an empty one. Those of streams that appear on the way are left out, as
    they do where MPEG-TS is damaged: PyAV has no place for them."""
    while True:
        try:
            return (yield from container.demux(stream))
        except IndexError:
            pass


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
    limits = limits or limits_here()
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


def check_readable(source: Path | bytes, name: str, limits: Limits) -> None:
    """Raise VideoError for the mistakes for which we have better words than FFmpeg."""
    if isinstance(source, bytes):
        if not source:
            raise VideoError(f"{name}: is empty; give the bytes of a video file")
        _check_content(BytesIO(source), 0, len(source), name, limits)
        return
    try:
        status = file_of(source).stat()
    except FileNotFoundError as error:
        raise VideoError(f"{name}: does not exist; check the path") from error
    except (OSError, ValueError) as error:  # a ValueError is a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{name}: cannot be opened ({reason}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{name}: is a folder; give the video files in it")
    if not stat.S_ISREG(status.st_mode):  # nobody may ever write to a pipe, and what was read is gone
        raise VideoError(f"{name}: is a pipe or a device; write the video to a file first")
    inside = member(source)
    if inside is not None and inside.offset + inside.size > status.st_size:
        raise VideoError(f"{name}: {inside.archive} ends before this video does; pack it again")
    if status.st_size == 0:
        more = ", or the address of a folder with a / at its end" if "://" in name else ""
        raise VideoError(f"{name}: is empty; give a video file that plays{more}")
    try:
        with file_of(source).open("rb") as file:
            begin, end = (0, status.st_size) if inside is None else (inside.offset, inside.offset + inside.size)
            _check_content(file, begin, end, name, limits)
    except PermissionError as error:
        raise VideoError(f"{name}: may not be read; check the path") from error
    except OSError as error:
        raise VideoError(f"{name}: cannot be opened ({error.strerror}); check the path") from error


def _check_content(file: BinaryIO, begin: int, end: int, name: str, limits: Limits) -> None:
    """Refuse playlists, and files of QuickTime's family whose tables claim more frames than anybody has.

    The file's bytes are those from `begin` until before `end`. FFmpeg makes an entry of its own for each frame that a
    table claims, even if that takes no byte in the file.
    """
    file.seek(begin)
    start = file.read(min(64, end - begin)).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(PLAYLISTS):
        raise VideoError(f"{name}: is a playlist or a script that names other files; give the video itself")
    if start[8:16] == b"WEBPVP8X" and len(start) > 20 and start[20] & WEBP_MOVES:
        raise VideoError(f"{name}: is an animated WebP, which FFmpeg does not read; convert it to .gif or .mp4")
    claimed, sound, by_tick = 0, False, False
    for kind, body, stop in leaves(file, begin, end):
        file.seek(body)
        head = file.read(min(16, stop - body)).ljust(16, b"\0")
        if kind == b"hdlr":
            sound = head[8:12] == b"soun"
        elif kind == b"stts":  # one entry of one tick each: sound whose samples nobody lists
            by_tick = struct.unpack(">4xI4xI", head) == (1, 1)
        elif kind == b"stsz":
            claimed += 0 if sound and by_tick else struct.unpack(">8xI4x", head)[0]
        elif kind == b"trun":
            claimed += struct.unpack(">4xI8x", head)[0]
        if claimed > limits.frames:
            raise VideoError(
                f"{name}: claims {claimed} frames, and {limits.frames} are the most that are read; it may be damaged"
            )
        if claimed * ENTRY > limits.memory:  # FFmpeg would end its table where memory ends, and show no frame at all
            raise VideoError(
                f"{name}: claims {claimed} frames, whose table takes {claimed * ENTRY >> 20} MB, more than "
                f"{limits.memory >> 20}; it may be damaged, or allow more memory"
            )
