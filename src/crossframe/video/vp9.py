"""As much of VP9's headers as proves where a stream begins anew.

A frame may take over probabilities, motion vectors, segments and filter strengths from whatever was decoded before it,
referred to or not. Only key frames take over nothing. The sections are those of the VP9 Bitstream & Decoding Process
Specification.
"""

from __future__ import annotations

from collections.abc import Iterator

from crossframe.video.bits import Bits, Picture, Unproven

HEADER_BYTES = 8
SYNC_CODE = 0x498342


class VP9:
    """Reads the frames of a stream, packet by packet in order; raises Unproven for all that is not plain."""

    reorder = 0  # packets are in the order of showing

    def __init__(self, _extradata: bytes) -> None:
        self._number = 0  # of the packet

    def picture(self, packet: memoryview) -> Picture:
        frames = [_read_frame(bytes(frame[:HEADER_BYTES])) for frame in _frames(packet)]
        if sum(shown for _, shown in frames) != 1:
            raise Unproven("a packet that does not show exactly one frame")
        number = self._number
        self._number += 1
        return Picture(restart=frames[0][0], order_count=number, layer=0, referenced=True)


def _frames(packet: memoryview) -> Iterator[memoryview]:
    """The frames of a packet, by the index at its end where there is one (Annex B)."""
    last = packet[-1] if len(packet) else 0
    if last >> 5 != 0b110:
        yield packet
        return
    count, width = (last & 7) + 1, (last >> 3 & 3) + 1
    end = len(packet) - (2 + count * width)
    if end < 0 or packet[end] != last:
        raise Unproven("an index is cut off")
    start = 0
    for place in range(end + 1, len(packet) - 1, width):
        size = int.from_bytes(packet[place : place + width], "little")
        if size == 0 or start + size > end:
            raise Unproven("a packet is cut off")
        yield packet[start : start + size]
        start += size
    if start != end:
        raise Unproven("bytes that belong to no frame")


def _read_frame(header: bytes) -> tuple[bool, bool]:
    """Whether a frame is a key frame, and whether it is shown (6.2)."""
    bits = Bits(header)
    if bits.u(2) != 2:
        raise Unproven("no frame")
    if bits.u(2) == 3:  # profile, lower bit first
        bits.u(1)
    if bits.u(1):  # shows a frame again
        return False, True
    key, shown = not bits.u(1), bool(bits.u(1))
    bits.u(1)  # whether it resists errors
    if key and bits.u(24) != SYNC_CODE:
        raise Unproven("a key frame without its code")
    return key, shown
