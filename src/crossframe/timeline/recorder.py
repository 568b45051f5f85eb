"""The packets of a live source, from which clips are cut without encoding anything again."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import av

from crossframe.files import replacing
from crossframe.video.media import VideoPacket

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
