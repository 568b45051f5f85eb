"""As much of HEVC's headers as proves the order of pictures, and which of them nothing refers to.

The clauses are 7.3 (syntax) and 8.3.1 (order count) of ITU-T H.265.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossframe.video.bits import HEADER_BYTES, Bits, Picture, Unproven, full_count, unescaped, units

LEADING = range(6, 10)  # pictures that are shown before the key picture they follow
CODED = (*range(10), 19, 20, 21)  # without those that begin after a splice
IDR = (19, 20)
VPS, SPS, PPS = 32, 33, 34
HARMLESS = (35, 38, 39, 40)  # delimiter, filler, messages


@dataclass(frozen=True, slots=True)
class _Sequence:
    count_bits: int
    separate_planes: bool
    reorder: int


@dataclass(frozen=True, slots=True)
class _PictureSet:
    sequence: int
    output_flag: bool
    extra_bits: int


class HEVC:
    """Reads the pictures of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    def __init__(self, extradata: bytes) -> None:
        if len(extradata) < 23 or extradata[0] != 1:
            raise Unproven("units without lengths")
        self._length_size = (extradata[21] & 3) + 1
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _PictureSet] = {}
        self._sets = set(_parameter_sets(extradata))
        for unit in self._sets:
            if _kind(unit) == SPS:
                number, sequence = _read_sequence(unit)
                self._sequences[number] = sequence
            elif _kind(unit) == PPS:
                number, picture = _read_picture_set(unit)
                self._pictures[number] = picture
        self._count = 0  # of the last picture that others may count from

    @property
    def reorder(self) -> int:
        return max((sequence.reorder for sequence in self._sequences.values()), default=0)

    def picture(self, packet: memoryview) -> Picture:
        first: memoryview | None = None  # of the picture's slices
        for unit in units(packet, self._length_size):
            if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:
                raise Unproven("several views or qualities in one stream")
            kind = _kind(unit)
            if kind in CODED:
                if (unit[2] & 0x80 > 0) != (first is None):
                    raise Unproven("a packet that is not exactly one picture")
                if first is None:
                    first = unit
                elif unit[:2] != first[:2]:
                    raise Unproven("a packet with a mixed picture")
            elif kind in (VPS, SPS, PPS):
                if bytes(unit) not in self._sets:
                    raise Unproven("parameters change within the stream")
            elif kind not in HARMLESS:
                raise Unproven(f"a unit of type {kind}")
        if first is None:
            raise Unproven("a packet without a picture")
        return self._slice(bytes(first[:HEADER_BYTES]))

    def _slice(self, unit: bytes) -> Picture:
        kind, layer = _kind(unit), (unit[1] & 7) - 1
        referenced = kind >= 16 or kind % 2 == 1
        bits = Bits(unescaped(unit[2:]))
        bits.u(1)  # the picture's first slice
        if kind >= 16 and bits.u(1):
            raise Unproven("a restart that throws away pictures not yet shown")
        parameters = self._pictures.get(bits.ue())
        sequence = self._sequences.get(parameters.sequence) if parameters else None
        if parameters is None or sequence is None:
            raise Unproven("a picture without parameters")
        bits.u(parameters.extra_bits)
        bits.ue()  # slice type
        if parameters.output_flag and not bits.u(1):
            raise Unproven("a picture that is not shown")
        if sequence.separate_planes:
            bits.u(2)
        count = 0 if kind in IDR else full_count(bits.u(sequence.count_bits), sequence.count_bits, self._count)
        if layer == 0 and referenced and kind not in LEADING:
            self._count = count
        return Picture(kind in IDR, count, layer, referenced)


def _kind(unit: bytes | memoryview) -> int:
    return unit[0] >> 1 & 63


def _parameter_sets(extradata: bytes) -> list[bytes]:
    """The parameter sets of an `hvcC` record."""
    sets: list[bytes] = []
    start = 23
    for _ in range(extradata[22]):
        count, start = int.from_bytes(extradata[start + 1 : start + 3], "big"), start + 3
        for _ in range(count):
            if start >= len(extradata):
                raise Unproven("parameters are cut off")
            size = int.from_bytes(extradata[start : start + 2], "big")
            sets.append(extradata[start + 2 : start + 2 + size])
            start += 2 + size
    if start > len(extradata) or not all(len(unit) > 2 for unit in sets):
        raise Unproven("parameters are cut off")
    return sets


def _read_sequence(unit: bytes) -> tuple[int, _Sequence]:
    bits = Bits(unescaped(unit[2:]))
    bits.u(4)
    sub_layers = bits.u(3)  # beyond the first
    bits.u(1)
    bits.u(96)  # profile and level
    if sub_layers:
        present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
        bits.u(2 * (8 - sub_layers))
        for profile, level in present:
            bits.u(88 * profile + 8 * level)
    number = bits.ue()
    chroma = bits.ue()
    separate_planes = chroma == 3 and bool(bits.u(1))
    bits.skip_ue(2)  # width and height
    if bits.u(1):
        bits.skip_ue(4)  # cropping
    bits.skip_ue(2)  # bit depths
    count_bits = bits.ue() + 4
    reorder = 0
    for _ in range(sub_layers + 1 if bits.u(1) else 1):
        bits.ue()  # buffer size
        reorder = bits.ue()
        bits.ue()  # latency
    return number, _Sequence(count_bits, separate_planes, reorder)


def _read_picture_set(unit: bytes) -> tuple[int, _PictureSet]:
    bits = Bits(unescaped(unit[2:]))
    number, sequence = bits.ue(), bits.ue()
    bits.u(1)
    return number, _PictureSet(sequence, output_flag=bool(bits.u(1)), extra_bits=bits.u(3))
