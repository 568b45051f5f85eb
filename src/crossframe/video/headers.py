"""As much of a packet's first bytes as tells whether its picture begins anew, and whether others refer to it.

H.264 and HEVC say both in the header of each unit, AV1 and VP9 the first of them, MPEG-4 both (`mpeg4`). Everything
that is not plain - several pictures in a packet, or none; parameters that change; fields, layers, views - is Unproven,
and then every packet is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Unproven(Exception):  # noqa: N818  (nothing is wrong; the stream only has to be decoded in full)
    """The headers do not prove that pictures may be left out."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a picture is coded that has not exactly one packet for itself."""

    late: bool  # in the packet before
    start: int  # in bytes
    stop: int


class Picture(NamedTuple):  # one for every packet, and made in half the time of a dataclass
    """All that headers tell of the one picture that a packet shows."""

    restart: bool  # needs nothing that was decoded before
    spare: bool  # no picture of its layer, or of a lower one, refers to it
    layer: int = 0
    late: bool = False  # shown after the next one that is not
    piece: Piece | None = None  # None where it is all of its packet


class Bits:
    """Reads the numbers of a header, most significant bit first."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def u(self, size: int) -> int:
        """An unsigned number of `size` bits.

        >>> bits = Bits(bytes([0b10100000]))
        >>> bits.u(3), bits.u(1)
        (5, 0)
        """
        self._left -= size
        if self._left < 0:
            raise Unproven("a header ends too early")
        return (self._value >> self._left) & ((1 << size) - 1)

    @property
    def left(self) -> int:
        """How many bits are left."""
        return self._left

    def ue(self) -> int:
        """An unsigned number in exponential Golomb code.

        >>> bits = Bits(bytes([0b1_010_0110, 0b0_1000000]))
        >>> bits.ue(), bits.ue(), bits.ue()
        (0, 1, 2)
        """
        rest = self._value & ((1 << self._left) - 1)
        zeros = self._left - rest.bit_length()
        if zeros > 32:
            raise Unproven("a number in a header is too long")
        return self.u(2 * zeros + 1) - 1


Read: TypeAlias = Callable[[memoryview], Picture]
HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


def h264(extradata: bytes) -> Read:
    """ITU-T H.264, 7.3 and 7.4.1."""
    if len(extradata) < 8 or extradata[0] != 1:
        raise Unproven("units without lengths")
    size = (extradata[4] & 3) + 1
    start = 6
    for _ in range(extradata[5] & 31):  # the sequence parameter sets
        start, stop = start + 2, start + 2 + int.from_bytes(extradata[start : start + 2], "big")
        if _may_hold_fields(extradata[start:stop]):
            raise Unproven("fields, which may have packets of their own")
        start = stop

    def read(packet: memoryview) -> Picture:
        slices: list[int] = []
        for unit in _units(packet, size):
            kind = unit[0] & 31
            if kind in (1, 5):
                # A slice that begins at macroblock 0 begins a picture; number 0 is coded as a single 1 bit.
                if len(unit) < 2 or (unit[1] & 0x80 > 0) != (not slices):
                    raise Unproven("a packet that is not exactly one picture")
                slices.append(unit[0])
            elif kind in (7, 8):
                if bytes(unit) not in extradata:
                    raise Unproven("parameters that change within the stream")
            elif kind not in (6, 9, 12):  # messages, delimiters, filler
                raise Unproven(f"a unit of type {kind}")
        if len(set(slices)) != 1:
            raise Unproven("a packet that is not exactly one picture")
        return Picture(restart=slices[0] & 31 == 5, spare=not slices[0] & 0x60)

    return read


def _may_hold_fields(unit: bytes) -> bool:
    """A sequence parameter set, up to where it says that all pictures are frames (7.3.2.1.1)."""
    bits = Bits(unit[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.u(8)
    bits.u(16)  # constraints and level
    bits.ue()
    if profile in HIGH_PROFILES:
        if bits.ue() == 3:
            bits.u(1)
        for _ in range(2):
            bits.ue()  # bit depths
        if bits.u(2) & 1:
            raise Unproven("scaling lists")
    bits.ue()  # bits of the frame number
    order = bits.ue()
    if order == 1:
        raise Unproven("picture order counts of type 1")
    if order == 0:
        bits.ue()
    bits.ue()  # number of references
    if bits.u(1):
        raise Unproven("gaps between frame numbers")
    for _ in range(2):
        bits.ue()  # width and height
    return not bits.u(1)


def hevc(extradata: bytes) -> Read:
    """ITU-T H.265, 7.3.1.2 and 7.4.2.2."""
    if len(extradata) < 23 or extradata[0] != 1:
        raise Unproven("units without lengths")
    size = (extradata[21] & 3) + 1

    def read(packet: memoryview) -> Picture:
        slices: list[tuple[int, int]] = []
        for unit in _units(packet, size):
            if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:
                raise Unproven("several views or qualities in one stream")
            kind = unit[0] >> 1 & 63
            if kind < 10 or kind in (19, 20, 21):  # without those that begin after a splice
                if (unit[2] & 0x80 > 0) != (not slices) or (kind > 15 and unit[2] & 0x40):
                    raise Unproven("a packet that is not exactly one picture, or throws away others")
                slices.append((kind, (unit[1] & 7) - 1))
            elif kind in (32, 33, 34):
                if bytes(unit) not in extradata:
                    raise Unproven("parameters that change within the stream")
            elif kind not in (35, 38, 39, 40):  # delimiters, filler, messages
                raise Unproven(f"a unit of type {kind}")
        if len(set(slices)) != 1:
            raise Unproven("a packet that is not exactly one picture")
        kind, layer = slices[0]
        return Picture(restart=kind in (19, 20), spare=kind < 10 and kind % 2 == 0, layer=layer)

    return read


def _units(packet: memoryview, length_size: int) -> Iterator[memoryview]:
    """The units of a packet, each preceded by its length; they must fill it exactly."""
    start, end = 0, len(packet)
    while start < end:
        size = int.from_bytes(packet[start : start + length_size], "big")
        start += length_size
        if size == 0 or start + size > end:
            raise Unproven("a packet is cut off")
        yield packet[start : start + size]
        start += size


def av1(_extradata: bytes) -> Read:
    """AV1 Bitstream & Decoding Process Specification, 5.3 and 5.9.2."""
    sequences: set[bytes] = set()

    def read(packet: memoryview) -> Picture:
        frames: list[bool] = []  # of each frame, whether it is a shown key frame
        shown = 0
        for kind, unit in _obus(packet):
            if kind == 1:
                sequences.add(bytes(unit))
                if len(sequences) > 1 or not unit or unit[0] & 8:
                    raise Unproven("parameters that change within the stream, or a still picture")
            elif kind in (3, 6):
                if not unit or shown:
                    raise Unproven("a packet that goes on after the frame that it shows")
                again, of_kind, seen = unit[0] >> 7, unit[0] >> 5 & 3, unit[0] >> 4 & 1
                if bool(again) != (kind == 3):
                    raise Unproven("a frame in several units")
                shown += again or seen
                frames.append(not again and of_kind == 0 and bool(seen))
            elif kind not in (2, 5, 15):  # delimiters, metadata, padding
                raise Unproven(f"a unit of type {kind}")
        if shown != 1:
            raise Unproven("a packet that does not show exactly one frame")
        return Picture(restart=frames[0], spare=False)

    return read


def _obus(packet: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The units of a packet of AV1: their types and contents."""
    start, end = 0, len(packet)
    while start < end:
        header, size, shift = packet[start], 0, 0
        if header & 0b1000_0110 != 0b10:
            raise Unproven("a unit of a layer, or without its size")
        more = True
        while more:
            start += 1
            if start == end or shift > 28:
                raise Unproven("a packet is cut off")
            size |= (packet[start] & 127) << shift
            more = packet[start] > 127
            shift += 7
        start += 1
        if start + size > end:
            raise Unproven("a packet is cut off")
        yield header >> 3, packet[start : start + size]
        start += size


def vp9(_extradata: bytes) -> Read:
    """VP9 Bitstream & Decoding Process Specification, 6.2 and Annex B.

    A frame takes over probabilities, motion vectors, segments and filter strengths from whatever was decoded before
    it, referred to or not. Only key frames take over nothing.
    """
    return lambda packet: _vp9_picture([_vp9_frame(frame) for frame in _vp9_frames(packet)])


def _vp9_picture(frames: list[tuple[bool, bool]]) -> Picture:
    if sum(shown for _, shown in frames) != 1:
        raise Unproven("a packet that does not show exactly one frame")
    return Picture(restart=frames[0][0], spare=False)


def _vp9_frame(frame: memoryview) -> tuple[bool, bool]:
    """Two flags: the frame is a key frame, and it is shown."""
    bits = Bits(bytes(frame[:2]))
    if bits.u(2) != 2:
        raise Unproven("no frame")
    if bits.u(2) == 3:  # profile, lower bit first
        bits.u(1)
    again = bits.u(1)  # a frame that is shown once more
    return not again and not bits.u(1), bool(again or bits.u(1))


def _vp9_frames(packet: memoryview) -> Iterator[memoryview]:
    """The frames of a packet, by the index at its end where there is one."""
    last = packet[-1] if len(packet) else 0
    if last >> 5 != 0b110:
        yield packet
        return
    count, width = (last & 7) + 1, (last >> 3 & 3) + 1
    end, start = len(packet) - (2 + count * width), 0
    if end < 0 or packet[end] != last:
        raise Unproven("an index is cut off")
    for place in range(end + 1, len(packet) - 1, width):
        size = int.from_bytes(packet[place : place + width], "little")
        if size == 0 or start + size > end:
            raise Unproven("a packet is cut off")
        yield packet[start : start + size]
        start += size
    if start != end:
        raise Unproven("bytes that belong to no frame")
