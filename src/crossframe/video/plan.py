"""Which packets the wanted frames need, where the stream's headers prove it.

The proof is for H.264, HEVC, AV1, VP9 and MPEG-4 in containers that store the time of every frame. It shows, from the
headers of all packets, that every packet shows one picture, that the times in the container and the order counted in
the stream agree, that the decoder will not have to wait for a picture longer than the stream says, and what each
picture may refer to. Then frame number i is the i-th that is shown, and everything that no wanted frame refers to,
directly or not, can be left out. MPEG-4's order needs no times, so it may come without them.

Damage that leaves every header in order is noticed only in what is decoded.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, pairwise
from typing import TypeAlias

from crossframe.video.av1 import AV1
from crossframe.video.bits import Picture, Piece, Unproven
from crossframe.video.h264 import H264
from crossframe.video.hevc import HEVC
from crossframe.video.media import Media, VideoPacket, cut
from crossframe.video.mpeg4 import MPEG4
from crossframe.video.vp9 import VP9

Headers: TypeAlias = H264 | HEVC | AV1 | VP9 | MPEG4
HEADERS: dict[str, Callable[[bytes], Headers]] = {
    "h264": H264,
    "hevc": HEVC,
    "libdav1d": AV1,
    "vp9": VP9,
    "mpeg4": MPEG4,
}
TIMED_CONTAINERS = {"mp4", "matroska"}
UNTIMED = {("mpeg4", "avi")}  # decoders whose order needs no times, in containers that store none
KEPT_BYTES = 32 << 20  # a longer video is read from its file again


@dataclass(frozen=True, slots=True)
class Scan:
    """What the packets say before anything is decoded."""

    shown: int  # packets whose frames are to be shown; an edit of the file can hide some
    missing: int  # about how many frames the file promises beyond its last packet
    plan: Plan | None  # None where every packet must be decoded
    packets: Sequence[VideoPacket] | None  # all of them, None where they are too many to be kept


@dataclass(frozen=True, slots=True)
class Plan:
    """Pictures of a proven stream, shown or hidden, in the order of decoding."""

    sources: Sequence[Collection[int]]  # for each picture those that it refers to; by way of them, it may need more
    times: Sequence[int] | None  # presentation times, in the order of showing; None if they do not rise
    picture: Sequence[int]  # which picture each shown frame is
    pieces: Sequence[Sequence[Piece | None]]  # for each packet where its pictures are

    def needed(self, wanted: Collection[int]) -> list[bool]:
        """For every picture up to the last that matters, whether the `wanted` frames need it."""
        asked = [self.picture[index] for index in wanted]
        needed = [False] * (max(asked) + 1)
        for number in asked:
            needed[number] = True
        for number in range(len(needed) - 1, -1, -1):
            if needed[number]:
                for source in self.sources[number]:
                    needed[source] = True
        return needed

    def shown(self, needed: Sequence[bool]) -> list[int]:
        """Which frames a decoder shows that gets the `needed` pictures, in that order."""
        return [index for index, number in enumerate(self.picture) if number < len(needed) and needed[number]]

    def select(self, packets: Iterable[VideoPacket], needed: Sequence[bool]) -> Iterator[VideoPacket]:
        """What to decode of all packets."""
        before: VideoPacket | None = None
        number = 0  # of the picture
        for packet, pieces in zip(packets, self.pieces, strict=False):
            if number >= len(needed):
                return
            for piece in compress(pieces, needed[number : number + len(pieces)]):
                if piece is None:
                    yield packet
                else:
                    source = before if piece.late and before is not None else packet
                    yield cut(packet, bytes(memoryview(source)[piece.start : piece.stop]))
            number += len(pieces)
            before = packet


def sources(pictures: Sequence[Picture]) -> list[Collection[int]]:
    """For each picture those that it refers to.

    Where headers do not name them, a picture may refer to every reference since the restart: to the last one, that is,
    which refers to the one before it, and so on.
    """
    top_layer = max(picture.layer for picture in pictures)
    found: list[Collection[int]] = []
    last: tuple[int, ...] = ()
    for number, picture in enumerate(pictures):
        if picture.restart:
            last = ()
        found.append(last if picture.sources is None else picture.sources)
        if picture.referenced or picture.layer < top_layer:
            last = (number,)
    return found


def scan(media: Media) -> Scan:
    """Read all packets, decode none."""
    proof = _Proof(media)
    shown = 0
    begin, end = math.inf, -math.inf
    packets: list[VideoPacket] | None = []
    room = KEPT_BYTES
    for packet in media.packets():
        proof.add(packet)
        room -= packet.size
        if packets is not None and room >= 0:
            packets.append(packet)
        else:
            packets = None
        if not packet.is_discard:
            shown += 1
        if not packet.is_discard and packet.pts is not None:
            begin, end = min(begin, packet.pts), max(end, packet.pts + (packet.duration or 0))
    missing = _missing(shown, begin, end, media.promised_end(begin))
    intact = missing == 0 and media.read_errors == 0
    return Scan(shown, missing, proof.conclude() if intact else None, packets)


def _missing(shown: int, begin: float, end: float, promised_end: float | None) -> int:
    """About how many frames a stream lacks that ends before it should, at the rate of those it has."""
    if promised_end is None or end <= begin:
        return 0
    return max(int((promised_end - end) * shown / (end - begin)), 0)


class _Proof:
    """Collects the pictures of a stream for as long as they agree with what a plan needs."""

    def __init__(self, media: Media) -> None:
        self._headers: Headers | None = None
        self._pictures: list[Picture] = []
        self._pieces: list[tuple[Piece | None, ...]] = []  # of every packet
        self._times: dict[int, int | None] = {}  # by the number of the picture that is shown then
        codec, containers = media.stream.codec_context, media.container.format.name.split(",")
        self._timed = bool(TIMED_CONTAINERS.intersection(containers))
        if codec.name in HEADERS and (self._timed or any((codec.name, name) in UNTIMED for name in containers)):
            with suppress(Unproven):
                self._headers = HEADERS[codec.name](codec.extradata or b"")

    def add(self, packet: VideoPacket) -> None:
        if self._headers is None:
            return
        try:
            if packet.is_discard or packet.is_corrupt:
                raise Unproven("a packet hidden or damaged")
            picture = self._headers.picture(memoryview(packet))
            if not self._pictures and not picture.restart:
                raise Unproven("a stream that begins in the middle")
        except Unproven:
            self._headers = None
        else:
            pictures = (*picture.hidden, picture)
            self._pictures += pictures
            self._pieces.append(tuple([each.piece for each in pictures]))
            self._times[len(self._pictures) - 1] = packet.pts

    def conclude(self) -> Plan | None:
        """The plan, if everything agreed."""
        if self._headers is None or not self._pictures:
            return None
        try:
            order = self._order_of_showing(self._headers.reorder)
        except Unproven:
            return None
        stored = [self._times[number] for number in order]
        times = [time for time in stored if time is not None]
        rising = len(times) == len(stored) and all(time < later for time, later in pairwise(times))
        if self._timed and not rising:
            return None
        return Plan(sources(self._pictures), times if rising else None, order, self._pieces)

    def _order_of_showing(self, reorder: int) -> list[int]:
        """Picture numbers as a decoder shows them that lets no more than `reorder` pictures wait."""
        order: list[int] = []
        waiting: list[tuple[int, int]] = []  # a heap of (count, picture number)
        last: int | None = None  # the count of the picture shown last since the restart

        def show() -> None:
            nonlocal last
            count, number = heapq.heappop(waiting)
            if last is not None and count <= last:
                raise Unproven("a picture that comes too late")
            last = count
            order.append(number)

        for number in self._times:
            picture = self._pictures[number]
            if picture.restart:
                while waiting:
                    show()
                last = None
            heapq.heappush(waiting, (picture.order_count, number))
            if len(waiting) > reorder:
                show()
        while waiting:
            show()
        return order
