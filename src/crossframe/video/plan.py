"""Which packets the wanted frames need, where the container and the first bytes of each packet tell.

The order of showing comes from the times that the container stores, or from MPEG-4's own rule where it stores none.
Decoding starts at the last restart before a wanted frame: a picture that needs nothing before it, while nothing that is
shown later was decoded earlier, and nothing later needs what is shown earlier. From there on, pictures that no other
refers to are left out. What is decoded must then
come in the order and at the times foreseen, undamaged; otherwise everything is decoded after all.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from av.packet import Packet

from crossframe.video import headers
from crossframe.video.headers import Picture, Read, Unproven
from crossframe.video.media import Media, VideoPacket
from crossframe.video.mpeg4 import MPEG4

# By the names of the decoders that FFmpeg takes.
HEADERS: dict[str, Callable[[bytes], Read]] = {
    "h264": headers.h264,
    "hevc": headers.hevc,
    "libdav1d": headers.av1,
    "vp9": headers.vp9,
    "mpeg4": lambda parameters: MPEG4(parameters).picture,
}
TIMED_CONTAINERS = {"mp4", "matroska"}
UNTIMED = {("mpeg4", "avi")}  # decoders whose order needs no times, in containers that store none
KEPT_BYTES = 32 << 20  # a longer video is read from its file again
MOST_LEADING = 64  # more pictures than any codec lets wait
AV_TIME_BASE = 1_000_000  # parts of a second in which FFmpeg counts for whole files
PACKET_BYTES = 256  # what each costs beside its data


@dataclass(frozen=True, slots=True)
class Plan:
    """A stream in which every packet shows one picture; both are counted from 0 in the order of decoding."""

    pictures: Sequence[Picture]
    order: Sequence[int]  # which picture each frame is
    times: Sequence[int] | None  # of the frames, rising; None if the container stores none
    _rank: Sequence[int] = field(init=False)  # which frame each picture is
    _restarts: Sequence[int] = field(init=False)
    _top: int = field(init=False)

    def __post_init__(self) -> None:
        rank = [0] * len(self.order)
        for index, number in enumerate(self.order):
            rank[number] = index
        object.__setattr__(self, "_rank", rank)
        object.__setattr__(self, "_top", max(picture.layer for picture in self.pictures))
        restarts: list[int] = []
        highest = -1  # frame before this picture
        for number, (picture, index) in enumerate(zip(self.pictures, rank, strict=True)):
            if picture.restart and highest < index and self._leading_are_spare(number):
                restarts.append(number)
            highest = max(highest, index)
        if restarts[:1] != [0] or rank[0] != 0:
            raise Unproven("a stream that begins in the middle")
        object.__setattr__(self, "_restarts", restarts)

    def _leading_are_spare(self, restart: int) -> bool:
        """True if nothing refers to pictures that come after a restart and are shown before it, and may need more."""
        left, number = self._rank[restart] - restart, restart
        if left > MOST_LEADING:
            return False
        while left:
            number += 1
            if self._rank[number] < self._rank[restart]:
                left -= 1
                if not self._spare(number):
                    return False
        return True

    def needed(self, wanted: Collection[int]) -> list[int]:
        """The pictures to be decoded for these frames, in order."""
        groups: defaultdict[int, set[int]] = defaultdict(set)
        for index in wanted:
            number = self.order[index]
            place = bisect_right(self._restarts, number) - 1
            if index < self._rank[self._restarts[place]]:  # it needs what came before
                place -= 1
            groups[self._restarts[place]].add(number)
        needed: set[int] = set()
        for start, group in groups.items():
            needed |= {n for n in range(start, max(group) + 1) if n in group or not self._spare(n)}
        return sorted(needed)

    def _spare(self, number: int) -> bool:
        picture = self.pictures[number]
        return picture.spare and picture.layer == self._top

    def shown(self, needed: Iterable[int]) -> list[int]:
        """Which frames a decoder shows that gets these pictures, in that order."""
        return sorted(self._rank[number] for number in needed)

    def time_of(self, number: int) -> int | None:
        """When a picture is shown, in the stream's own units."""
        return None if self.times is None else self.times[self._rank[number]]

    def select(self, packets: Iterable[tuple[int, VideoPacket]], needed: Sequence[int]) -> Iterator[VideoPacket]:
        """The packets to decode, of numbered ones."""
        before: VideoPacket | None = None
        left = iter(needed)
        following = next(left, None)
        for number, packet in packets:
            if following is None:
                return
            if number == following:
                piece = self.pictures[number].piece
                if piece is None:
                    yield packet
                else:
                    source = before if piece.late and before is not None else packet
                    yield cut(packet, bytes(memoryview(source)[piece.start : piece.stop]))
                following = next(left, None)
            before = packet


def cut(packet: VideoPacket, data: bytes) -> VideoPacket:
    """A packet of the same time with other data."""
    piece = cast("VideoPacket", Packet(len(data)))  # FFmpeg's own memory, since decoders read a bit beyond the end
    piece.update(data)
    piece.pts, piece.dts, piece.time_base = packet.pts, packet.dts, packet.time_base
    return piece


@dataclass(frozen=True, slots=True)
class Scan:
    """All that packets tell before anything is decoded."""

    shown: int  # packets whose frames are to be shown; an edit of the file can hide some
    missing: int  # about how many frames the file promises beyond its last packet
    times: Sequence[int] | None  # of those packets, rising, in the stream's own units; None where some have none
    end: float  # of the last of them
    begins: float  # seconds by which the video is later than the earliest stream of the file, from which players count
    plan: Plan | None  # None where every packet must be decoded
    packets: Sequence[VideoPacket] | None  # all of them, None where they are too many to be kept


def scan(media: Media) -> Scan:
    """Read all packets, decode none."""
    read, timed = _reader(media)
    pictures: list[Picture] | None = None if read is None else []
    stamps: list[int | None] = []
    packets: list[VideoPacket] | None = []
    room = KEPT_BYTES
    begin, end, shown_until = math.inf, -math.inf, -math.inf
    kinds: dict[Picture, Picture] = {}
    for packet in media.packets():
        if pictures is not None and read is not None:
            try:
                if packet.is_discard or packet.is_corrupt:
                    raise Unproven("a packet hidden or damaged")
                picture = read(memoryview(packet))
                pictures.append(kinds.setdefault(picture, picture))  # of the few kinds, one each is kept
            except Unproven:
                pictures = None
        room -= packet.size + PACKET_BYTES
        if packets is not None and room >= 0:
            packets.append(packet)
        else:
            packets = None
        until = -math.inf
        if packet.pts is not None:  # hidden packets count too in what the file promises
            until = packet.pts + (packet.duration or 0)
            begin, end = min(begin, packet.pts), max(end, until)
        if not packet.is_discard:
            stamps.append(packet.pts)
            shown_until = max(shown_until, until)
    known = sorted(stamp for stamp in stamps if stamp is not None)
    missing = _missing(len(stamps), shown_until - known[0] if known else 0, end, media.promised_end(begin))
    if not (timed or "avi" in media.container.format.name):  # others count the last frame in or out
        missing = max(missing - 1, 0)
    plan = None
    if pictures and missing == 0 and media.read_errors == 0:
        with suppress(Unproven):
            plan = _plan(pictures, stamps, timed)
    times = known if len(known) == len(stamps) else None
    return Scan(len(stamps), missing, times, shown_until, _begins(media, times), plan, packets)


def _begins(media: Media, times: Sequence[int] | None) -> float:
    """Seconds from when the file begins, with sound for instance, until its video does; 0 where nobody knows.

    Neither need begin at 0: those of MPEG-TS usually do not. What is before 0 is not played.
    """
    first, unit = times[0] if times else media.stream.start_time, media.stream.time_base
    whole = media.container.start_time
    if first is None or unit is None or whole is None:  # pyright: ignore[reportUnnecessaryComparison]  (PyAV: it never is)
        return 0.0
    return max(round(float(first * unit) - max(whole / AV_TIME_BASE, 0.0), 3), 0.0)


def _reader(media: Media) -> tuple[Read | None, bool]:
    """The reader of a stream's packets, if there is one, and True if its container stores the times of all."""
    codec, containers = media.stream.codec_context, media.container.format.name.split(",")
    timed = bool(TIMED_CONTAINERS.intersection(containers))
    if codec.name in HEADERS and (timed or any((codec.name, name) in UNTIMED for name in containers)):
        with suppress(Unproven):
            return HEADERS[codec.name](codec.extradata or b""), timed
    return None, timed


def _plan(pictures: Sequence[Picture], stamps: Sequence[int | None], timed: bool) -> Plan:
    known = [stamp for stamp in stamps if stamp is not None]
    complete = len(known) == len(stamps) and len(set(known)) == len(known)
    if timed and not complete:
        raise Unproven("a picture without a time of its own")
    ordered = sorted(range(len(known)), key=known.__getitem__)
    if any(picture.late for picture in pictures):  # MPEG-4, whose rule must agree with the times
        order = _late_order(pictures)
        if timed and order != ordered:
            raise Unproven("times that contradict the order of the pictures")
        times = [known[number] for number in order] if complete else []
        rising = complete and all(time < later for time, later in pairwise(times))
        return Plan(pictures, order, times if rising else None)
    return Plan(pictures, ordered, sorted(known))


def _late_order(pictures: Sequence[Picture]) -> list[int]:
    """A picture that is late waits until the next one that is late comes."""
    order: list[int] = []
    waiting: list[int] = []
    for number, picture in enumerate(pictures):
        if picture.late:
            order += waiting
            waiting = [number]
        else:
            order.append(number)
    return order + waiting


def _missing(shown: int, duration: float, end: float, promised_end: float | None) -> int:
    """About how many frames a stream lacks that ends before it should, at the rate of those it has."""
    if promised_end is None or duration <= 0:
        return 0
    return max(int((promised_end - end) * shown / duration), 0)
