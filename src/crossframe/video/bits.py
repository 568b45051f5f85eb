"""The first bytes of packets: all that they tell of the picture shown, and how their numbers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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
