"""As much of AV1's headers as proves which packets each packet refers to.

Whatever a frame takes over from earlier ones (pixels, motion vectors, probabilities, segments, filter strengths, film
grain), it takes from the eight slots that references are kept in (7.20, 7.21), and its header names the slots that it
reads and those that it refreshes. The sections are those of the AV1 Bitstream & Decoding Process Specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crossframe.video.bits import HEADER_BYTES, Bits, Picture, Unproven

SEQUENCE, DELIMITER, FRAME_HEADER, METADATA, FRAME, PADDING = 1, 2, 3, 5, 6, 15
KEY, INTRA_ONLY, SWITCH = 0, 2, 3
SLOTS = range(8)
REFERENCES = 7
EACH_FRAME = 2  # a choice that the sequence leaves to its frames


@dataclass(frozen=True, slots=True)
class _Sequence:
    screen_content: int  # 0, 1 or EACH_FRAME
    whole_vectors: int  # likewise
    order_bits: int


@dataclass(frozen=True, slots=True)
class _Frame:
    kind: int
    shown: bool
    reads: frozenset[int]
    refreshes: frozenset[int]


class AV1:
    """Reads the frames of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    reorder = 0  # packets are in the order of showing

    def __init__(self, _extradata: bytes) -> None:
        self._number = 0  # of the packet
        self._sequence_unit: bytes | None = None
        self._sequence: _Sequence | None = None
        self._sequence_packet = 0  # in which it came last
        self._slots: dict[int, tuple[int, int]] = {}  # the packet that refreshed a slot, and the kind of its frame

    def picture(self, packet: memoryview) -> Picture:
        number = self._number
        sources: set[int] = set()
        shown = 0
        for kind, unit in _units(packet):
            if kind == SEQUENCE:
                self._keep_sequence(bytes(unit))
            elif kind in (FRAME_HEADER, FRAME):
                frame = self._frame(kind, bytes(unit[:HEADER_BYTES]))
                sources.update(self._slot(slot)[0] for slot in frame.reads)
                self._slots.update(dict.fromkeys(frame.refreshes, (number, frame.kind)))
                shown += frame.shown
            elif kind not in (DELIMITER, METADATA, PADDING):
                raise Unproven(f"a unit of type {kind}")
        if shown != 1:
            raise Unproven("a packet that does not show exactly one frame")
        sources.add(self._sequence_packet)
        self._number += 1
        return Picture(number == 0, number, layer=0, referenced=True, sources=frozenset(sources - {number}))

    def _keep_sequence(self, unit: bytes) -> None:
        if self._sequence_unit is None:
            self._sequence_unit, self._sequence = unit, _read_sequence(unit)
        elif unit != self._sequence_unit:
            raise Unproven("parameters change within the stream")
        self._sequence_packet = self._number

    def _slot(self, slot: int) -> tuple[int, int]:
        if slot not in self._slots:
            raise Unproven("a reference is missing")
        return self._slots[slot]

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
            kind = self._slot(slot)[1]
            # A key frame then takes all slots, as if it came only now (7.21).
            return _Frame(kind, True, frozenset({slot}), frozenset(SLOTS if kind == KEY else ()))
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
        mask = 0xFF if takes_all else bits.u(8)
        refreshes = frozenset(slot for slot in SLOTS if mask >> slot & 1)
        if intra:
            return _Frame(kind, shown, frozenset(), refreshes)
        if resilient:
            bits.u(len(SLOTS) * self._sequence.order_bits)
        if self._sequence.order_bits and bits.u(1):  # slots are found by the order of all frames in them (7.8)
            return _Frame(kind, shown, frozenset(SLOTS), refreshes)
        return _Frame(kind, shown, frozenset(bits.u(3) for _ in range(REFERENCES)), refreshes)


def _units(packet: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The units of a packet and their types (5.3)."""
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
        yield header >> 3, packet[start : start + size]
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
