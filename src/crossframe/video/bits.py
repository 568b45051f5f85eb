"""What the headers of codecs have in common: numbers, what is said of a picture, and the units of H.264 and HEVC."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

HEADER_BYTES = 28  # a slice header's beginning, as far as we read it, is much shorter


class Unproven(Exception):  # noqa: N818  (nothing is wrong; the stream only has to be decoded in full)
    """The headers do not prove that pictures may be left out."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a picture is coded that has not exactly one packet for itself."""

    late: bool  # in the packet before
    start: int  # in bytes
    stop: int


class Picture(NamedTuple):  # one for every packet, and made in half the time of a dataclass
    """What headers say about a picture. A packet shows one, and may hold hidden ones that are decoded before it."""

    restart: bool  # nothing that is shown from here on refers to anything before
    order_count: int  # the order of showing since the last restart
    layer: int  # temporal layer
    referenced: bool  # pictures of the same layer may refer to it; those of higher layers always may
    sources: Collection[int] | None = None  # numbers of the pictures it refers to, where headers name them
    piece: Piece | None = None  # None where it is all of its packet
    hidden: tuple[Picture, ...] = ()


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

    def skip_ue(self, count: int) -> None:
        """Pass over numbers in exponential Golomb code, signed ones too."""
        for _ in range(count):
            self.ue()

    def se(self) -> int:
        """A signed number in exponential Golomb code: 0, 1, -1, 2, -2 and so on."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def units(packet: memoryview, length_size: int) -> Iterator[memoryview]:
    """The units of a packet, each preceded by its length; they must fill it exactly."""
    start, end = 0, len(packet)
    while start < end:
        size = int.from_bytes(packet[start : start + length_size], "big")
        start += length_size
        if size == 0 or start + size > end:
            raise Unproven("a packet is cut off")
        yield packet[start : start + size]
        start += size


def unescaped(unit: bytes) -> bytes:
    """A unit of H.264 or HEVC without its emulation prevention bytes.

    >>> unescaped(bytes([0, 0, 3, 1])).hex()
    '000001'
    """
    return unit.replace(b"\0\0\3", b"\0\0")


def full_count(low: int, low_bits: int, previous: int) -> int:
    """Picture order count from its low bits: the number with these low bits nearest to the previous
    reference's count.

    >>> full_count(2, 4, 14), full_count(14, 4, 18), full_count(6, 4, 2)
    (18, 14, 6)
    """
    period = 1 << low_bits
    high = previous - previous % period
    difference = low - previous % period
    if difference <= -period // 2:
        return high + period + low
    if difference > period // 2:
        return high - period + low
    return high + low
