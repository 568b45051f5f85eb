"""Live sources: a file that grows, a stream of the network, a pipe, a camera; read again when they break off.

The address is the user's own, and so is the choice of what may be opened: what a stream's content names is opened only
as far as its kind needs it (segments of HLS by HTTP, the transports of RTSP).
"""

from __future__ import annotations

import os
import sys
import time as clock
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from crossframe.files import replacing
from crossframe.video.given import VideoError
from crossframe.video.media import FORMATS, Media, VideoPacket, demuxed

READ = 10.0  # seconds without data after which a connection counts as lost
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before the next attempts
POLL = 0.05  # seconds between looks at a file that grows
PACKETS = 64 << 20  # bytes of packets kept for recording
CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
HEAD = 4096  # bytes in which an MP4 says how it is made
INDEX = (
    "is an MP4 whose index comes last, so that it cannot be read from a pipe or while it grows; give MPEG-TS, Matroska "
    "or a fragmented MP4 (ffmpeg -movflags frag_keyframe+empty_moov)"
)
UNTIMED = 250  # frames without a time after which none is waited for
NO_TIMES = "its frames have no times; give MPEG-TS, Matroska or a fragmented MP4, which tell them"
NETWORK = "http,https,tcp,tls,udp,rtp,rtmp,rtmps,rtsp,crypto,httpproxy"


class _NoTimesError(VideoError):
    """No frame says when it is shown, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame, uint8 (H, W, 3), at `time` seconds of the watch; `picture` is None for one that nobody wants."""

    time: float
    picture: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Lost:
    """The source broke off for this reason; `wait` seconds until it is tried again, None if that was the end."""

    reason: str
    wait: float | None


@dataclass
class Live:
    """A live source. `frames` reads it; `stop` ends that, from any thread.

    `idle`: seconds after which a file that has stopped growing has ended. `retries`: attempts in a row without a frame
    after which a stream has ended; a complete video at an address ends where it does. `record`: keep packets, of which
    `save` writes clips. `waits`: the source waits until it is read, so that nothing need be dropped; files, pipes and
    complete videos at an address do.
    """

    source: str
    short_side: int | None = None
    idle: float = 10.0
    retries: int = 5
    record: bool = False
    waits: bool | None = None
    sleep: Callable[[float], None] = clock.sleep
    now: Callable[[], float] = clock.monotonic
    stopped: bool = False
    _packets: deque[tuple[float, VideoPacket]] = field(default_factory=deque[tuple[float, VideoPacket]])
    _bytes: int = 0
    _template: Any = None
    _container: InputContainer | None = None
    _failure: Exception | None = None  # which ended the connection
    _growing: Growing | None = None
    _has_end: bool = False  # an address whose video is complete, and waits
    _begins: float | None = None  # when the first frame of that was shown

    def stop(self) -> None:
        """End reading after the next packet."""
        self.stopped = True

    @property
    def is_stream(self) -> bool:
        """An address, which is connected to again; not a file, a pipe or a camera."""
        return "://" in self.source

    @property
    def is_camera(self) -> bool:
        """A number, or a device of Linux."""
        return self.source.isdecimal() or self.source.startswith("/dev/video")

    @property
    def is_live(self) -> bool:
        """It does not wait for whoever reads it."""
        if self.waits is not None:
            return not self.waits
        return (self.is_stream and not self._has_end) or self.is_camera

    def check(self) -> None:
        """Raise VideoError now, rather than when a model is there, where the source is nothing that can be watched."""
        path, reason = Path(self.source), ""
        if self.is_camera:
            device = self._camera
            if device.startswith("/dev/") and not Path(device).exists():
                there = ", ".join(sorted(map(str, Path("/dev").glob("video[0-9]*")))) or "none"
                reason = f"there is no camera {device}; connect it, or give one that is here: {there}"
        elif self.is_stream or self.source == "-":
            return
        elif not path.exists():
            reason = "does not exist; check the path"
        elif path.is_dir():
            reason = "is a folder; give a file that grows, an address or a camera"
        if reason:
            raise VideoError(f"{self.source}: {reason}")

    def frames(self, wants: Callable[[float], bool]) -> Iterator[Shown | Lost]:
        """Frames as they come, and what was lost between them. `wants` says which times are to be converted.

        Raises VideoError where a source that is no stream cannot be opened.
        """
        self.check()
        begun = self.now()
        failures = 0
        latest = step = 0.0
        while not self.stopped:
            since, first = max(self.now() - begun, latest + step), True
            try:
                for shown in self._connection(wants, since if self.is_stream else 0.0, latest):
                    step = min(shown.time - latest, 1.0)
                    latest, first = shown.time, False
                    yield shown
                reason = "ended"
            except (av.error.FFmpegError, OSError, VideoError) as error:
                if (not self.is_stream and first) or isinstance(error, _NoTimesError):
                    raise VideoError(f"{self.source}: {self._unread(error)}") from error
                reason = _why(error).removeprefix(f"{self.source}: ")
            if self.stopped or not self.is_stream or (self._has_end and reason == "ended"):
                return
            failures = failures + 1 if first else 0
            if failures > self.retries:
                yield Lost(reason, None)
                return
            wait = BACK_OFF[min(failures, len(BACK_OFF) - 1)]
            yield Lost(reason, wait)
            self.sleep(wait)

    def _unread(self, error: Exception) -> str:
        """Why a file, a pipe or a camera could not be opened."""
        head = b"" if self._growing is None else self._growing.head
        if self._growing is None and Path(self.source).is_file():
            with open(self.source, "rb") as file:
                head = file.read(HEAD)
        if head[4:8] == b"ftyp" and b"moov" not in head and b"moof" not in head:
            return INDEX
        reason = _why(error).removeprefix(f"{self.source}: ")
        return reason if ";" in reason else f"cannot be watched ({reason}); check it"

    @property
    def _camera(self) -> str:
        """The name of the camera for FFmpeg."""
        on_linux = CAMERAS.get(sys.platform, "v4l2") == "v4l2"
        return f"/dev/video{self.source}" if self.source.isdecimal() and on_linux else self.source

    def close(self) -> None:
        """Close the source, which must not be read any more; there is nothing left of it to save."""
        self._packets.clear()
        self._bytes, self._template = 0, None
        if self._container is not None:
            self._container.close()
            self._container = None

    def save(self, path: Path, start: float, end: float) -> bool:
        """Write the packets from `start` to `end`, from the key frame before it on, as a file; False if they are gone.

        Nothing is encoded again.
        """
        kept = [pair for pair in list(self._packets) if pair[0] <= end]
        first = max((n for n, (at, packet) in enumerate(kept) if packet.is_keyframe and at <= start), default=None)
        first = next((n for n, (_, packet) in enumerate(kept) if packet.is_keyframe), None) if first is None else first
        if first is None or kept[-1][0] < start or self._template is None:
            return False
        with replacing(path) as part, av.open(str(part), "w", format="matroska") as container:
            stream = container.add_stream_from_template(self._template)
            origin = min(packet.dts for _, packet in kept[first:] if packet.dts is not None)
            for _, packet in kept[first:]:
                copy = av.Packet(bytes(packet))
                copy.pts = None if packet.pts is None else packet.pts - origin
                copy.dts = None if packet.dts is None else packet.dts - origin
                copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
                container.mux(copy)
        return True

    def _connection(self, wants: Callable[[float], bool], since: float, latest: float) -> Iterator[Shown]:
        """The frames of one connection, the first of them at `since` seconds; of a complete video that broke off, which
        begins anew, those after the `latest` one."""
        with self._opened() as container:
            if not container.streams.video:
                raise VideoError(f"{self.source}: holds no video")
            self._has_end = self.source.startswith("http") and _says_its_end(container)
            stream = container.streams.video[0]
            media = Media(self.source, container, stream)
            self._template = stream
            stream.thread_type = "NONE"  # which would hold frames back
            again = self._has_end and self._begins is not None  # the same frames once more, by the same clock
            since = self._begins if again and self._begins is not None else since
            origin: float | None = None
            untimed, view = 0, None
            for packet in self._packets_of(container, stream):
                if self.stopped:
                    return
                media.begun = clock.monotonic()
                for frame in media.decode(packet) or ():
                    seconds = media.seconds(frame)
                    if np.isnan(seconds):
                        untimed += 1
                        if untimed > UNTIMED and origin is None:
                            raise _NoTimesError(NO_TIMES)
                        continue
                    if origin is None:
                        origin, self._begins = seconds - since, since if self._has_end else None
                    time = round(seconds - origin, 6)
                    if time < since:  # it stepped back: a new clock
                        origin, time = seconds - since, since
                    since = time
                    if again and time <= latest:
                        continue
                    if not wants(time):
                        yield Shown(time, None)
                        continue
                    view = view or media.view(frame, self.short_side, False)
                    yield Shown(time, np.ascontiguousarray(media.picture(frame, view)))
                if self.record and packet is not None and packet.pts is not None and stream.time_base:
                    at = float(packet.pts * stream.time_base)
                    self._keep(at - (at - since if origin is None else origin), packet)
            if self._failure is not None:
                raise self._failure
            if untimed and origin is None:
                raise _NoTimesError(NO_TIMES)

    def _packets_of(self, container: InputContainer, stream: Any) -> Iterator[VideoPacket | None]:
        """The packets until the source ends or breaks off, and then None, for the frames that are held back."""
        self._failure = None
        try:
            for packet in demuxed(container, stream):
                if packet.size:
                    yield packet
        except (av.error.FFmpegError, OSError) as error:
            self._failure = error
        yield None

    def _keep(self, time: float, packet: VideoPacket) -> None:
        self._packets.append((time, packet))
        self._bytes += packet.size
        while self._bytes > PACKETS:
            self._bytes -= self._packets.popleft()[1].size

    @contextmanager
    def _opened(self) -> Generator[InputContainer]:
        source: Any = self.source
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file,pipe"}
        form: str | None = None
        if self.is_stream:
            options = {"protocol_whitelist": NETWORK}
            form = "rtsp" if source.startswith("rtsp") else None
            # A camera's packets by UDP are lost on the way, or in front of a firewall; most have TCP too.
            options |= {"format_whitelist": f"{FORMATS},hls"} if form is None else {"rtsp_flags": "prefer_tcp"}
        elif source == "-":
            source = self._growing = Growing(os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0), self, 0.0)
        elif self.is_camera:
            form = CAMERAS.get(sys.platform, "v4l2")
            source, options = self._camera, {}
        elif not _is_complete(Path(source)):
            file = open(source, "rb", buffering=0)  # noqa: SIM115 - it closes it
            source = self._growing = Growing(file, self, self.idle)
        self.close()
        opened = av.open(source, mode="r", format=form, container_options=options, timeout=(READ, READ))
        container = cast("InputContainer", opened)
        self._container = container
        try:
            yield container
        finally:
            if not self.record:  # clips are made as long as their packets are kept, which needs what they came from
                self.close()


class Growing:
    """A file that someone writes to, or a pipe: gives what is there, and at the end waits for more, until for `idle`
    seconds there was none."""

    def __init__(self, file: RawIOBase, live: Live, idle: float) -> None:
        self._file = file
        self._live = live
        self._idle = idle
        self.head = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at all once the file has ended."""
        waited = 0.0
        while not (data := self._file.read(size)):
            if self._live.stopped or waited >= self._idle:
                return b""
            self._live.sleep(POLL)
            waited += POLL
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]
        return data

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


def _says_its_end(container: InputContainer) -> bool:
    """True for a playlist or a file at an address that is complete: it says how long or how large it is.

    RTSP says how long it is of what it plays at its own pace, too, and is not to be asked.
    """
    # MPEG-TS without byte ranges tells no duration; without a length of the response, the size is negative. Of a
    # playlist the size is that of its text, whether more will be added to it or not.
    return bool(container.duration) or (container.size > 0 and "hls" not in container.format.name)


def _is_complete(path: Path) -> bool:
    """True for MP4 that is not made of fragments: it has an index, for which it is read here and there."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1 << 20)
    return head[4:8] == b"ftyp" and b"moof" not in head


def _why(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
