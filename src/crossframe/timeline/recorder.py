"""The packets of a live source, from which clips are cut without encoding anything again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import OutputContainer

from crossframe.files import replacing
from crossframe.video.media import VideoPacket

log = logging.getLogger(__name__)

PACKETS = 64 << 20  # bytes that are kept


class Recorder:
    """The last packets of a connection; those of one that is closed are gone."""

    def __init__(self) -> None:
        self._packets: deque[tuple[float, VideoPacket]] = deque()
        self._bytes = 0
        self._template: Any = None

    def begin(self, stream: Any) -> None:
        """Take up a new stream."""
        self._packets.clear()
        self._bytes, self._template = 0, stream

    def keep(self, time: float, packet: VideoPacket) -> None:
        """Keep the next packet, at `time` seconds of the watch."""
        self._packets.append((time, packet))
        self._bytes += packet.size
        while self._bytes > PACKETS:
            self._bytes -= self._packets.popleft()[1].size

    def save(self, path: Path, start: float, end: float) -> bool:
        """Write the packets from `start` to `end`, from the key frame before it on, as a file; False if they are gone.

        Nothing is encoded again.
        """
        kept = [pair for pair in list(self._packets) if pair[0] <= end]
        first = max((n for n, (at, packet) in enumerate(kept) if packet.is_keyframe and at <= start), default=None)
        first = next((n for n, (_, packet) in enumerate(kept) if packet.is_keyframe), None) if first is None else first
        if first is None or kept[-1][0] < start or self._template is None:
            return False
        try:
            with replacing(path) as part, av.open(str(part), "w", format="matroska") as container:
                self._write([packet for _, packet in kept[first:]], container)
        except (av.error.FFmpegError, OSError) as error:
            log.warning("%s: cannot be written (%s)", path, getattr(error, "strerror", None) or error)
            return False
        return True

    def _write(self, packets: Sequence[VideoPacket], container: OutputContainer) -> None:
        """Write packets from 0 on; where their clock steps back, as if it had gone on."""
        stream = container.add_stream_from_template(self._template)
        latest, shift = -1, 0
        for number, packet in enumerate(packets):
            if packet.dts is None or packet.pts is None:
                continue
            if number == 0 or packet.dts + shift <= latest:
                shift = latest + 1 - packet.dts
            copy = av.Packet(bytes(packet))
            copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
            latest = copy.dts
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
            container.mux(copy)
