"""As much of H.264's headers as proves the order of pictures, and which of them nothing refers to.

The clauses are 7.3 (syntax) and 8.2.1 (order count) of ITU-T H.264.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossframe.video.bits import HEADER_BYTES, Bits, Picture, Unproven, full_count, unescaped, units

SLICE, IDR, SEI, SPS, PPS, DELIMITER, FILLER = 1, 5, 6, 7, 8, 9, 12
HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


@dataclass(frozen=True, slots=True)
class _Sequence:
    frame_number_bits: int
    count_type: int
    count_bits: int
    separate_planes: bool
    reorder: int  # how many pictures can come before one that is shown earlier


@dataclass(frozen=True, slots=True)
class _PictureSet:
    sequence: int
    bottom_count: bool


class H264:
    """Reads the pictures of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    def __init__(self, extradata: bytes) -> None:
        if len(extradata) < 7 or extradata[0] != 1:
            raise Unproven("units without lengths")
        self._length_size = (extradata[4] & 3) + 1
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, _PictureSet] = {}
        self._sets = set(_parameter_sets(extradata))
        for unit in self._sets:
            if unit[0] & 31 == SPS:
                number, sequence = _read_sequence(unit)
                self._sequences[number] = sequence
            elif unit[0] & 31 == PPS:
                number, picture = _read_picture_set(unit)
                self._pictures[number] = picture
        self._frame_number = 0  # of the last reference
        self._count = 0  # of the last reference

    @property
    def reorder(self) -> int:
        return max((sequence.reorder for sequence in self._sequences.values()), default=0)

    def picture(self, packet: memoryview) -> Picture:
        first: memoryview | None = None  # of the picture's slices
        for unit in units(packet, self._length_size):
            if len(unit) < 2:
                raise Unproven("a unit is cut off")
            kind = unit[0] & 31
            if kind in (SLICE, IDR):
                # A slice that begins at macroblock 0 begins a picture; number 0 is coded as a single 1 bit.
                if len(unit) < 2 or (unit[1] & 0x80 > 0) != (first is None):
                    raise Unproven("a packet that is not exactly one picture")
                if first is None:
                    first = unit
                elif unit[0] != first[0]:
                    raise Unproven("a packet with a mixed picture")
            elif kind in (SPS, PPS):
                if bytes(unit) not in self._sets:
                    raise Unproven("parameters change within the stream")
            elif kind not in (SEI, DELIMITER, FILLER):
                raise Unproven(f"a unit of type {kind}")
        if first is None:
            raise Unproven("a packet without a picture")
        return self._slice(bytes(first[:HEADER_BYTES]))

    def _slice(self, unit: bytes) -> Picture:
        bits = Bits(unescaped(unit[1:]))
        restart, referenced = unit[0] & 31 == IDR, unit[0] >> 5 & 3 > 0
        bits.ue()  # first macroblock
        bits.ue()  # slice type
        parameters = self._pictures.get(bits.ue())
        sequence = self._sequences.get(parameters.sequence) if parameters else None
        if parameters is None or sequence is None:
            raise Unproven("a picture without parameters")
        if sequence.separate_planes:
            bits.u(2)
        frame_number = bits.u(sequence.frame_number_bits)
        expected = 0 if restart else (self._frame_number + 1) % (1 << sequence.frame_number_bits)
        if frame_number != expected:
            raise Unproven("frames are missing")
        if restart:
            bits.ue()  # number of the restart
        count = self._order_count(bits, sequence, parameters, restart, referenced)
        if restart and bits.u(1):
            raise Unproven("a restart that throws away pictures not yet shown")
        if referenced:
            self._frame_number = frame_number
        return Picture(restart, count, layer=0, referenced=referenced)

    def _order_count(
        self, bits: Bits, sequence: _Sequence, parameters: _PictureSet, restart: bool, referenced: bool
    ) -> int:
        if restart:
            self._count = 0
        if sequence.count_type == 2:  # pictures are shown in the order in which they come
            self._count = count = self._count + (0 if restart else 1)
            return count
        top = full_count(bits.u(sequence.count_bits), sequence.count_bits, self._count)
        bottom = top + bits.se() if parameters.bottom_count else top
        if referenced:
            self._count = top
        return min(top, bottom)


def _parameter_sets(extradata: bytes) -> list[bytes]:
    """The sequence and picture parameter sets of an `avcC` record."""
    sets: list[bytes] = []
    start = 5
    for mask in (31, 255):
        if start >= len(extradata):
            raise Unproven("parameters are cut off")
        count, start = extradata[start] & mask, start + 1
        for _ in range(count):
            size = int.from_bytes(extradata[start : start + 2], "big")
            sets.append(extradata[start + 2 : start + 2 + size])
            start += 2 + size
    if start > len(extradata) or not all(sets):
        raise Unproven("parameters are cut off")
    return sets


def _read_sequence(unit: bytes) -> tuple[int, _Sequence]:
    bits = Bits(unescaped(unit[1:]))
    profile = bits.u(8)
    bits.u(16)  # constraints and level
    number = bits.ue()
    separate_planes = profile in HIGH_PROFILES and _skip_high_profile(bits)
    frame_number_bits = bits.ue() + 4
    count_type = bits.ue()
    if count_type == 1:
        raise Unproven("picture order counts of type 1")
    count_bits = bits.ue() + 4 if count_type == 0 else 0
    bits.ue()  # number of references
    if bits.u(1):
        raise Unproven("gaps between frame numbers are allowed")
    bits.skip_ue(2)  # width and height
    if not bits.u(1):
        raise Unproven("fields may be coded apart")
    bits.u(1)
    if bits.u(1):
        bits.skip_ue(4)  # cropping
    reorder = _read_reorder(bits) if bits.u(1) else 0
    return number, _Sequence(frame_number_bits, count_type, count_bits, separate_planes, reorder)


def _skip_high_profile(bits: Bits) -> bool:
    """Skip what only the high profiles have; returns whether colour planes are coded apart."""
    chroma = bits.ue()
    separate_planes = chroma == 3 and bool(bits.u(1))
    bits.skip_ue(2)  # bit depths, lossless transform
    bits.u(1)
    if bits.u(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return separate_planes


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        following = (last + bits.se()) % 256
        if following == 0:
            return
        last = following


def _read_reorder(bits: Bits) -> int:
    """How many pictures may wait to be shown, from the last part of the usability information; 0 where it is
    not told.

    FFmpeg guesses where it is not told, and drops pictures while it guesses too low.
    """
    if bits.u(1) and bits.u(8) == 255:  # pixel proportions
        bits.u(32)
    if bits.u(1):
        bits.u(1)  # overscan
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)  # colours
    if bits.u(1):
        bits.skip_ue(2)  # place of chroma
    if bits.u(1):
        bits.u(65)  # frame rate
    buffers = [_skip_buffer(bits) for _ in range(2)]
    if any(buffers):
        bits.u(1)
    bits.u(1)
    if not bits.u(1):
        return 0
    bits.u(1)
    bits.skip_ue(4)
    return bits.ue()


def _skip_buffer(bits: Bits) -> bool:
    if not bits.u(1):
        return False
    count = bits.ue() + 1
    bits.u(8)
    for _ in range(count):
        bits.skip_ue(2)
        bits.u(1)
    bits.u(20)
    return True


def _read_picture_set(unit: bytes) -> tuple[int, _PictureSet]:
    bits = Bits(unescaped(unit[1:]))
    number, sequence = bits.ue(), bits.ue()
    bits.u(1)
    bottom_count = bool(bits.u(1))
    if bits.ue():
        raise Unproven("slice groups")
    bits.skip_ue(2)
    bits.u(3)
    bits.skip_ue(3)
    bits.u(2)
    if bits.u(1):
        raise Unproven("redundant pictures")
    return number, _PictureSet(sequence, bottom_count)
