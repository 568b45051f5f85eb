"""As much of AV1's headers as proves which frames each frame refers to.

Whatever a frame takes over from earlier ones (pixels, motion vectors, probabilities, segments, filter strengths, film
grain), it takes from the eight slots that references are kept in (7.20, 7.21), and its header names the slots that it
reads and those that it refreshes. The sections are those of the AV1 Bitstream & Decoding Process Specification.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crossframe.video.bits import HEADER_BYTES, Bits, Picture, Piece, Unproven

SEQUENCE, DELIMITER, FRAME_HEADER, METADATA, FRAME, PADDING = 1, 2, 3, 5, 6, 15
KEY, INTRA_ONLY, SWITCH = 0, 2, 3
KNOWN = {SEQUENCE, DELIMITER, FRAME_HEADER, METADATA, FRAME, PADDING}
SLOTS, ALL = 8, 0xFF
EMPTY: tuple[int, int] = (-1, -1)
EACH_FRAME = 2  # a choice that the sequence leaves to its frames


@dataclass(frozen=True, slots=True)
class _Sequence:
    screen_content: int  # 0, 1 or EACH_FRAME
    whole_vectors: int  # likewise
    order_bits: int


class _Frame(NamedTuple):
    kind: int
    shown: bool
    reads: Collection[int]  # slots
    refreshes: int  # a bit for each slot


class AV1:
    """Reads the frames of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    reorder = 0  # packets are in the order of showing

    def __init__(self, _extradata: bytes) -> None:
        self._number = 0  # of the frame
        self._sequence_unit: bytes | None = None
        self._sequence: _Sequence | None = None
        self._sequence_frame = 0  # before which it came last
        self._slots = [EMPTY] * SLOTS  # for each the number of the frame in it, and that frame's kind

    def picture(self, packet: memoryview) -> Picture:
        first, start = self._number == 0, 0
        hidden: list[Picture] = []
        shown: Picture | None = None
        for kind, unit, stop in _units(packet):
            if kind not in KNOWN:
                raise Unproven(f"a unit of type {kind}")
            if shown and kind in (SEQUENCE, FRAME_HEADER, FRAME):
                raise Unproven("a packet that goes on after the frame that it shows")
            if kind == SEQUENCE:
                self._keep_sequence(bytes(unit))
            elif kind in (FRAME_HEADER, FRAME):
                frame = self._frame(kind, bytes(unit[:HEADER_BYTES]))
                number, sources = self._number, self._take(frame)
                piece = Piece(False, start, stop) if hidden or not frame.shown else None
                if frame.shown:
                    shown = Picture(first, number, 0, True, sources, piece, tuple(hidden))
                else:
                    hidden.append(Picture(first, number, 0, True, sources, piece))
                start = stop
        if shown is None:
            raise Unproven("a packet that shows no frame")
        return shown

    def _take(self, frame: _Frame) -> tuple[int, ...]:
        """Refresh the slots by a frame; returns the numbers of those that it refers to (7.20)."""
        sources = {self._slots[slot][0] for slot in frame.reads}
        if EMPTY[0] in sources:
            raise Unproven("a reference is missing")
        sources.add(self._sequence_frame)
        sources.discard(self._number)
        for slot in range(SLOTS) if frame.refreshes else ():
            if frame.refreshes >> slot & 1:
                self._slots[slot] = self._number, frame.kind
        self._number += 1
        return tuple(sources)

    def _keep_sequence(self, unit: bytes) -> None:
        if self._sequence_unit is None:
            self._sequence_unit, self._sequence = unit, _read_sequence(unit)
        elif unit != self._sequence_unit:
            raise Unproven("parameters change within the stream")
        self._sequence_frame = self._number

    def _frame(self, unit_kind: int, unit: bytes) -> _Frame:
        """The beginning of a frame's header (5.9.2), without what `_read_sequence` rules out."""
        if self._sequence is None:
            raise Unproven("a frame without parameters")
        bits = Bits(unit)
        again = bits.u(1)
        if again != (unit_kind == FRAME_HEADER):
            raise Unproven("a frame in several units")
        if again:  # nothing is coded: what a slot holds is shown
            slot = bits.u(3)
            kind = self._slots[slot][1]
            return _Frame(kind, True, (slot,), ALL if kind == KEY else 0)  # a key frame, as if it came only now (7.21)
        kind, shown = bits.u(2), bool(bits.u(1))
        if not shown:
            bits.u(1)  # whether it may be shown later
        intra, takes_all = kind in (KEY, INTRA_ONLY), kind == SWITCH or (kind == KEY and shown)
        resilient = takes_all or bits.u(1)
        bits.u(1)  # whether probabilities stay as they are
        screen_content = self._sequence.screen_content
        if screen_content == EACH_FRAME:
            screen_content = bits.u(1)
        if screen_content and self._sequence.whole_vectors == EACH_FRAME:
            bits.u(1)
        if kind != SWITCH:
            bits.u(1)  # whether the size is another
        bits.u(self._sequence.order_bits)
        if not (intra or resilient):
            bits.u(3)  # the one of the references that probabilities come from
        refreshes = ALL if takes_all else bits.u(SLOTS)
        if intra:
            return _Frame(kind, shown, (), refreshes)
        if resilient:
            bits.u(SLOTS * self._sequence.order_bits)
        if self._sequence.order_bits and bits.u(1):  # slots are found by the order of all frames in them (7.8)
            return _Frame(kind, shown, range(SLOTS), refreshes)
        reads = bits.u(21)
        return _Frame(kind, shown, {reads >> place & 7 for place in range(0, 21, 3)}, refreshes)


def _units(packet: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """The units of a packet: their types, contents and ends (5.3)."""
    start, end = 0, len(packet)
    while start < end:
        header = packet[start]
        if header & 0b1000_0110 != 0b10:
            raise Unproven("a unit of a layer, or without its size")
        start += 1
        size = shift = 0
        more = True
        while more:
            if start == end or shift > 28:
                raise Unproven("a packet is cut off")
            size |= (packet[start] & 127) << shift
            more = packet[start] > 127
            start, shift = start + 1, shift + 7
        if start + size > end:
            raise Unproven("a packet is cut off")
        yield header >> 3, packet[start : start + size], start + size
        start += size


def _read_sequence(unit: bytes) -> _Sequence:
    """A sequence's header (5.5.1)."""
    bits = Bits(unit)
    bits.u(3)  # profile
    if bits.u(2):
        raise Unproven("a still picture")
    if bits.u(1):
        bits.u(64)  # units of time
        if bits.u(1):
            bits.ue()
        if bits.u(1):
            raise Unproven("a model of the decoder")
    delays = bits.u(1)
    for _ in range(bits.u(5) + 1):
        if bits.u(12):
            raise Unproven("layers")
        if bits.u(5) > 7:  # level
            bits.u(1)
        if delays and bits.u(1):
            bits.u(4)
    bits.u(bits.u(4) + bits.u(4) + 2)  # width and height
    if bits.u(1):
        raise Unproven("numbered frames")
    bits.u(7)  # tools of the coding
    ordered = bits.u(1)
    if ordered:
        bits.u(2)
    screen_content = EACH_FRAME if bits.u(1) else bits.u(1)
    whole_vectors = EACH_FRAME if not screen_content or bits.u(1) else bits.u(1)
    return _Sequence(screen_content, whole_vectors, bits.u(3) + 1 if ordered else 0)
