"""Live sources: a file that grows, a stream of the network, a pipe, a camera; read again when they break off.

The address is the user's own, and so is the choice of what may be opened: what a stream's content names is opened only
as far as its kind needs it (segments of HLS by HTTP, the transports of RTSP).
"""

from __future__ import annotations

import os
import sys
import time as clock
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from crossframe.timeline.growing import INDEX, Growing, comes_last, is_complete
from crossframe.timeline.recorder import Recorder
from crossframe.video.given import VideoError, without_secrets
from crossframe.video.media import FORMATS, Media, VideoPacket, demuxed

READ = 10.0  # seconds without data after which a connection counts as lost
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before the next attempts
CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
UNTIMED = 250  # frames without a time after which none is waited for
NO_TIMES = "its frames have no times; give MPEG-TS, Matroska or a fragmented MP4, which tell them"
NETWORK = "http,https,tcp,tls,udp,rtp,rtmp,rtmps,rtsp,crypto,httpproxy"
SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "tcp", "udp", "rtp")  # of addresses
KEEPING = ("http", "rtmp", "tcp")  # whose data wait on the way for whoever is slow to read them
JITTER = 1.0  # seconds that times step back without being of a new clock
LISTED = 30.0  # seconds of the past that a playlist of something live may name


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
class _Clock:
    """A source's own seconds, which may step back, as those of the watch, which do not. Frames until `shown` have been
    shown already."""

    origin: float  # its own seconds at the begin of the watch
    since: float
    shown: float = float("-inf")

    def time(self, seconds: float) -> float:
        """When a frame is shown, the one after those that were asked for before."""
        time = round(seconds - self.origin, 6)
        if time < self.since - JITTER:
            self.origin = seconds - self.since
        self.since = max(time, self.since)
        return self.since

    def near(self, seconds: float) -> float:
        """When a packet is shown, of which the clock may be new and has not been asked yet."""
        time = seconds - self.origin
        return self.since if time < self.since - JITTER else time


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
    _recorder: Recorder = field(default_factory=Recorder)
    _container: InputContainer | None = None
    _failure: Exception | None = None  # which ended the connection
    _growing: Growing | None = None
    _has_end: bool = False  # an address whose video is complete, and waits
    _begins: float | None = None  # when the first frame of that was shown
    _is_listed: bool = False  # by a playlist, which hands over several seconds at once
    _clock: _Clock | None = None  # of the last connection

    def stop(self) -> None:
        """End reading after the next packet."""
        self.stopped = True

    @property
    def name(self) -> str:
        """The source as messages and answers tell it, without passwords."""
        return without_secrets(self.source)

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

    @property
    def patience(self) -> float | None:
        """Seconds in which data that have come may wait to be read without being lost, beside those of a window; None
        where none may."""
        if not self.source.startswith(KEEPING):
            return None
        return LISTED if self._is_listed else 0.0

    def check(self) -> None:
        """Raise VideoError now, rather than when a model is there, where the source is nothing that can be watched."""
        path, reason = Path(self.source), ""
        if self.is_camera:
            device = self._camera
            if device.startswith("/dev/") and not Path(device).exists():
                there = ", ".join(sorted(map(str, Path("/dev").glob("video[0-9]*")))) or "none"
                reason = f"there is no camera {device}; connect it, or give one that is here: {there}"
        elif self.is_stream:
            scheme, _, rest = self.source.partition("://")
            if scheme.lower() not in SCHEMES:
                reason = f"is no address that can be watched; give one of {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}"
            elif rest.partition("?")[0].lower().endswith(".mpd"):
                reason = "is a manifest of DASH, which is not read; give HLS (.m3u8) or the stream itself"
        elif self.source == "-":
            return
        elif not path.exists():
            reason = "does not exist; check the path"
        elif path.is_dir():
            reason = "is a folder; give a file that grows, an address or a camera"
        if reason:
            raise VideoError(f"{self.name}: {reason}")

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
                    raise VideoError(f"{self.name}: {self._unread(error)}") from error
                reason = _why(error).removeprefix(f"{self.name}: ")
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
        if is_complete(Path(self.source)) if self._growing is None else comes_last(self._growing.head):
            return INDEX
        reason = _why(error).removeprefix(f"{self.name}: ")
        return reason if ";" in reason else f"cannot be watched ({reason}); check it"

    @property
    def _camera(self) -> str:
        """The name of the camera for FFmpeg."""
        on_linux = CAMERAS.get(sys.platform, "v4l2") == "v4l2"
        return f"/dev/video{self.source}" if self.source.isdecimal() and on_linux else self.source

    def close(self) -> None:
        """Close the source, which must not be read any more; there is nothing left of it to save."""
        self._recorder.begin(None)
        if self._container is not None:
            self._container.close()
            self._container = None

    def save(self, path: Path, start: float, end: float) -> bool:
        """Write what was shown from `start` to `end` as a file, from a key frame on; False if it is gone."""
        return self._recorder.save(path, start, end)

    def _connection(self, wants: Callable[[float], bool], since: float, latest: float) -> Iterator[Shown]:
        """The frames of one connection, the first of them at `since` seconds; of what is shown again, those after the
        `latest` one."""
        with self._opened() as container:
            if not container.streams.video:
                raise VideoError(f"{self.name}: holds no video")
            self._has_end = self.source.startswith("http") and _says_its_end(container)
            self._is_listed = "hls" in container.format.name
            stream = container.streams.video[0]
            media = Media(self.name, container, stream)
            self._recorder.begin(stream)
            stream.thread_type = "NONE"  # which would hold frames back
            own: _Clock | None = None
            untimed, view = 0, None
            for packet in self._packets_of(container, stream):
                if self.stopped:
                    return
                media.begun = clock.monotonic()
                for frame in media.decode(packet) or ():
                    seconds = media.seconds(frame)
                    if np.isnan(seconds):
                        untimed += 1
                        if untimed > UNTIMED and own is None:
                            raise _NoTimesError(NO_TIMES)
                        continue
                    own = self._clock = own or self._clock_for(seconds, since, latest)
                    time = own.time(seconds)
                    if time <= own.shown:
                        continue
                    if not wants(time):
                        yield Shown(time, None)
                        continue
                    view = view or media.view(frame, self.short_side, False)
                    yield Shown(time, np.ascontiguousarray(media.picture(frame, view)))
                if self.record and packet is not None and packet.pts is not None and stream.time_base:
                    at = float(packet.pts * stream.time_base)
                    self._recorder.keep(since if own is None else own.near(at), packet)
            if self._failure is not None:
                raise self._failure
            if untimed and own is None:
                raise _NoTimesError(NO_TIMES)

    def _clock_for(self, first: float, since: float, latest: float) -> _Clock:
        """The clock of a connection by its `first` frame: that of the one before it, where a complete video that broke
        off begins anew, or a playlist names what has been shown."""
        if self._has_end and self._begins is not None:
            return _Clock(first - self._begins, self._begins, latest)
        if self._is_listed and self._clock is not None:
            begin = first - self._clock.origin
            if self._has_end or latest - LISTED <= begin <= since + LISTED:
                return _Clock(self._clock.origin, min(begin, latest), latest)
        self._begins = since if self._has_end else None
        return _Clock(first - since, since)

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
            file = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
            source = self._growing = Growing(file, lambda: self.stopped, self.sleep, 0.0)
        elif self.is_camera:
            form = CAMERAS.get(sys.platform, "v4l2")
            source, options = self._camera, {}
        elif not is_complete(Path(source)):
            file = open(source, "rb", buffering=0)  # noqa: SIM115 - it closes it
            source = self._growing = Growing(file, lambda: self.stopped, self.sleep, self.idle)
        self.close()
        opened = av.open(source, mode="r", format=form, container_options=options, timeout=(READ, READ))
        container = cast("InputContainer", opened)
        self._container = container
        try:
            yield container
        finally:
            if not self.record:  # clips are made as long as their packets are kept, which needs what they came from
                self.close()


def _says_its_end(container: InputContainer) -> bool:
    """True for a playlist or a file at an address that is complete: it says how long or how large it is.

    RTSP says how long it is of what it plays at its own pace, too, and is not to be asked.
    """
    # MPEG-TS without byte ranges tells no duration; without a length of the response, the size is negative. Of a
    # playlist the size is that of its text, whether more will be added to it or not.
    return bool(container.duration) or (container.size > 0 and "hls" not in container.format.name)


def _why(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):  # which FFmpeg calls what our own limit does
        return f"no data for {READ:g} s"
    return " ".join(str(getattr(error, "strerror", None) or error).split())
