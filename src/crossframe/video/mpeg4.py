"""As much of MPEG-4's headers as proves the order of pictures, and what each of them refers to.

The clauses are 6.2 (syntax) and 6.3 (semantics) of ISO/IEC 14496-2, where a picture is called video object plane, and
the parameters of all are the video object layer.

Many .avi hold a "packed bitstream", which no standard knows: a B-picture stands behind the reference that it needs, in
one packet, and a picture that is not coded fills the packet that is left over. FFmpeg decodes one picture for each
packet there: the one that it has stored, if there is one, in place of what the packet holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from crossframe.video.headers import Bits, Picture, Piece, Unproven

START = b"\0\0\1"
OBJECTS, LAYERS = range(0x20), range(0x20, 0x30)
SEQUENCE, USER_DATA, GROUP, VISUAL_OBJECT, PLANE = 0xB0, 0xB2, 0xB3, 0xB5, 0xB6
SIMPLE, ADVANCED_SIMPLE = 1, 17
I, P, B = 0, 1, 2  # noqa: E741  (their names everywhere)
HEADER_BYTES = 24  # of a picture, with one bit for each second since the last
STORED_BYTES = 8  # FFmpeg overlooks what is smaller


@dataclass(frozen=True, slots=True)
class _Layer:
    resolution: int  # ticks per second
    tick_bits: int
    reordered: bool  # there may be B-pictures
    blocks: int  # macroblocks in a picture


class _Plane(NamedTuple):
    kind: int
    seconds: int  # since those of the reference before; in a B-picture, of the one before that
    ticks: int
    coded: bool


class MPEG4:
    """Reads the pictures of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    def __init__(self, extradata: bytes) -> None:
        self._parameters = extradata
        self._layer, self._packed = _read_parameters(extradata)
        self._stored: tuple[_Plane, Piece] | None = None
        # Of the last two references: the time in ticks, and its seconds.
        self._references = 0  # seen
        self._time = self._time_before = 0
        self._seconds = self._seconds_before = 0
        self._grouped: bool | None = None  # whether the times of I-pictures are told in full

    def picture(self, packet: memoryview) -> Picture:
        data = bytes(packet)
        group, planes = self._split(data)
        first = _read_plane(data, planes[0], planes[1] if len(planes) > 1 else len(data), self._layer)
        if self._stored:
            (plane, piece), self._stored = self._stored, None
            if planes != [0] or (not first.coded and first.kind != P):
                raise Unproven("a packet that the decoder passes over")
            if first.coded:
                self._store(first, Piece(late=True, start=0, stop=len(data)))
            return self._place(plane, piece)
        if first.kind == I:
            self._read_group(data[group + 4 : planes[0]] if group is not None else b"")
        elif group is not None:
            raise Unproven("a group that does not begin with an I-picture")
        if len(planes) == 1:
            return self._place(first)
        if len(planes) > 2 or not self._packed:
            raise Unproven("a packet that is not exactly one picture")
        second = _read_plane(data, planes[1], len(data), self._layer)
        self._store(second, Piece(late=True, start=planes[1], stop=len(data)))
        return self._place(first, Piece(late=False, start=0, stop=planes[1]))

    def _split(self, data: bytes) -> tuple[int | None, list[int]]:
        """Where in a packet a group's header begins, if there is one, and where its pictures do."""
        group: int | None = None
        planes: list[int] = []
        for start, code in _codes(data):
            if code == PLANE:
                planes.append(start)
            elif planes or group is not None:
                raise Unproven("a packet with more than pictures")
            elif code == GROUP:
                group = start
        if not planes or data[: planes[0] if group is None else group] not in (b"", self._parameters):
            raise Unproven("a packet without a picture, or parameters that change within the stream")
        return group, planes

    def _store(self, plane: _Plane, piece: Piece) -> None:
        if plane.kind != B or not plane.coded or piece.stop - piece.start < STORED_BYTES:
            raise Unproven("a picture that the decoder passes over")
        self._stored = plane, piece

    def _read_group(self, header: bytes) -> None:
        """6.2.4: the seconds from which pictures count from here on, if an I-picture has this header before it."""
        # A decoder that begins at an I-picture counts from these seconds, or else from 0. B-pictures need the distance
        # between two references, so both must count from the same.
        if self._grouped not in (None, bool(header)) and self._layer.reordered:
            raise Unproven("times that are told in full only now and then")
        self._grouped = bool(header)
        if header:
            bits = Bits(header)
            hours, minutes = bits.u(5), bits.u(6)
            _marker(bits)
            self._seconds = 3600 * hours + 60 * minutes + bits.u(6)

    def _place(self, plane: _Plane, piece: Piece | None = None) -> Picture:
        """6.3.5: a B-picture lies between the last two references, any other refers to the last one."""
        if not plane.coded:
            raise Unproven("a picture that is not coded")
        if plane.kind == B:
            time = (self._seconds_before + plane.seconds) * self._layer.resolution + plane.ticks
            if self._references < 2 or not self._time_before < time < self._time:
                raise Unproven("a B-picture that is not between its references")
            return Picture(restart=False, spare=True, piece=piece)
        if plane.kind == P and not self._references:
            raise Unproven("a stream that begins in the middle")
        self._references += 1
        self._seconds_before, self._seconds = self._seconds, self._seconds + plane.seconds
        self._time_before, self._time = self._time, self._seconds * self._layer.resolution + plane.ticks
        return Picture(restart=plane.kind == I, spare=False, late=True, piece=piece)


def _codes(data: bytes) -> list[tuple[int, int]]:
    """Where start codes are, and their values."""
    found: list[tuple[int, int]] = []
    start = data.find(START)
    while start >= 0:
        if start + 3 == len(data):
            raise Unproven("a start code is cut off")
        found.append((start, data[start + 3]))
        start = data.find(START, start + 4)
    return found


def _marker(bits: Bits) -> None:
    if not bits.u(1):
        raise Unproven("a marker is missing")


def _read_parameters(extradata: bytes) -> tuple[_Layer, bool]:
    """Reads all before the first picture; True if the bitstream is packed, which the encoder's name tells."""
    codes = _codes(extradata)
    if not codes or codes[0][0]:
        raise Unproven("no parameters")
    ends = [start for start, _ in codes[1:]] + [len(extradata)]
    layers: list[_Layer] = []
    encoders: list[bytes] = []
    for (start, code), end in zip(codes, ends, strict=True):
        unit = extradata[start + 4 : end]
        if code in LAYERS:
            layers.append(_read_layer(unit))
        elif code == USER_DATA:
            encoders.append(unit)
        elif code not in (SEQUENCE, VISUAL_OBJECT, *OBJECTS):
            raise Unproven(f"parameters of type {code:#x}")
    if len(layers) != 1:
        raise Unproven("several layers in one stream")
    return layers[0], _check_encoders(encoders)


def _check_encoders(names: list[bytes]) -> bool:
    """Refuse unknown encoders and those whose mistakes FFmpeg makes up for; returns whether the bitstream is packed."""
    xvid = [int(found[1]) for name in names if (found := re.match(rb"XviD(\d+)", name))]
    lavc = [(int(found[1]), int(found[2])) for name in names if (found := re.match(rb"Lavc(\d+)\.(\d+)\.\d", name))]
    # Where XviD names DivX as well, it is for players that look for "packed" there.
    divx = [found[1] == b"p" for name in names if (found := re.match(rb"DivX\d+(?:Build|b)\d+(p?)", name))]
    known = len(xvid) + len(lavc) + len(divx) == len(names) and len(divx) <= len(xvid) <= 1
    faulty = [build <= 32 for build in xvid] + [not (50, 0) < version < (256, 0) for version in lavc]
    faulty += [(55, 66) <= version < (57, 67) for version in lavc]
    if not known or not faulty or any(faulty):
        raise Unproven("an encoder that is unknown or made mistakes")
    return any(divx)


def _read_layer(unit: bytes) -> _Layer:
    """6.2.3, up to where a rectangular picture's parameters end."""
    bits = Bits(unit)
    bits.u(1)
    if bits.u(8) not in (SIMPLE, ADVANCED_SIMPLE):
        raise Unproven("an uncommon profile")
    version = 1
    if bits.u(1):
        version = bits.u(4)
        bits.u(3)
    if bits.u(4) == 15:  # pixel proportions
        bits.u(16)
    reordered = bool(bits.u(1)) and _read_control(bits)
    if bits.u(2):
        raise Unproven("pictures that are no rectangles")
    _marker(bits)
    resolution = bits.u(16)
    if not resolution:
        raise Unproven("times without a unit")
    _marker(bits)
    tick_bits = max((resolution - 1).bit_length(), 1)
    if bits.u(1):
        bits.u(tick_bits)  # of every picture
    _marker(bits)
    width = bits.u(13)
    _marker(bits)
    height = bits.u(13)
    _marker(bits)
    if bits.u(1):
        raise Unproven("interlaced pictures")
    if not bits.u(1):
        raise Unproven("overlapped motion")
    if bits.u(1 if version == 1 else 2):
        raise Unproven("sprites")
    if bits.u(1):
        raise Unproven("pixels of other than 8 bits")
    if bits.u(1):
        for _ in range(2):
            _skip_matrix(bits)
    if version != 1:
        bits.u(1)  # quarter pixels
    if not bits.u(1):
        raise Unproven("estimates of complexity")
    bits.u(1)  # resynchronisation
    if bits.u(1):
        raise Unproven("data in partitions")
    if version != 1 and bits.u(2):
        raise Unproven("chosen references or reduced resolution")
    if bits.u(1):
        raise Unproven("several qualities in one stream")
    return _Layer(resolution, tick_bits, reordered, -(-width // 16) * -(-height // 16))


def _read_control(bits: Bits) -> bool:
    """True if pictures may come in another order than that in which they are shown."""
    bits.u(2)  # colors
    reordered = not bits.u(1)
    if bits.u(1):
        bits.u(79)  # buffer
    return reordered


def _skip_matrix(bits: Bits) -> None:
    if bits.u(1):
        for _ in range(64):
            if not bits.u(8):
                return


def _read_plane(data: bytes, start: int, stop: int, layer: _Layer) -> _Plane:
    """6.2.5, from the start code to where the first macroblock begins."""
    header = data[start + 4 : min(start + HEADER_BYTES, stop)]
    bits = Bits(header)
    kind = bits.u(2)
    if kind not in (I, P, B):
        raise Unproven("sprites")
    if kind == B and not layer.reordered:
        raise Unproven("B-pictures that were not announced")
    seconds = 0
    while bits.u(1):
        seconds += 1
    _marker(bits)
    ticks = bits.u(layer.tick_bits)
    _marker(bits)
    if not bits.u(1):
        return _Plane(kind, seconds, ticks, coded=False)
    bits.u(4 if kind == P else 3)  # rounding, threshold
    # A 0 among these, or too few bits, and FFmpeg gives up the picture.
    quantizer = bits.u(5)
    forward = 1 if kind == I else bits.u(3)  # ranges of motion
    backward = bits.u(3) if kind == B else 1
    if not (quantizer and forward and backward):
        raise Unproven("a damaged header")
    if kind != B and 8 * (stop - start - 4 - len(header)) + bits.left < layer.blocks // 2:
        raise Unproven("a picture is cut off")
    return _Plane(kind, seconds, ticks, coded=True)
