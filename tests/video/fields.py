"""H.264 whose pictures are coded as two fields each, which no encoder at hand writes: the headers of frames, rewritten.

The frames of a stream of intra pictures become the fields of frames of twice the height. Their coefficients are read in
another order then, so the pictures look odd; every decoder shows the same all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.video.clips import Pictures

SLICE, IDR, SPS, PPS = 1, 5, 7, 8
PARAMS = "keyint=1:cabac=0:8x8dct=0:slices=1:annexb=1:repeat-headers=1"


class Bits:
    """The bits of a unit behind its first byte, without emulation prevention bytes."""

    def __init__(self, unit: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\0\0\3", b"\0\0"))
        self.place = 0

    def u(self, size: int) -> int:
        self.place += size
        return int(self.text[self.place - size : self.place], 2)

    def ue(self) -> int:
        zeros = self.text.index("1", self.place) - self.place
        self.place += zeros
        return self.u(zeros + 1) - 1


def unit_of(first: int, text: str) -> bytes:
    """A unit of these bits, with emulation prevention bytes."""
    text = text.ljust(-(-len(text) // 8) * 8, "0")
    data = bytearray([first])
    zeros = 0
    for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
        if zeros == 2 and byte <= 3:
            data.append(3)
            zeros = 0
        data.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(data)


def encode(fields: Pictures) -> Iterator[list[bytes]]:
    """The units of each picture, all of them IDR."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = fields.shape[1:3]
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 50), Fraction(50)
    encoder.options = {"profile": "baseline", "x264-params": PARAMS}
    encoder.thread_count = 1
    packets = []
    for number, picture in enumerate(fields):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 50)
        packets += encoder.encode(frame)
    for packet in [*packets, *encoder.encode(None)]:
        yield [unit for unit in bytes(packet).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


def with_fields(unit: bytes) -> tuple[bytes, int]:
    """A sequence parameter set that allows fields, and the size of a frame's number."""
    bits = Bits(unit)
    bits.u(24)
    bits.ue()
    number_bits = bits.ue() + 4
    assert bits.ue() == 2  # pictures are shown in the order in which they are coded
    bits.ue()
    bits.u(1)
    bits.ue()
    bits.ue()
    at = bits.place
    assert bits.u(1)  # frames only; now not, and without frames that mix both
    return unit_of(unit[0], bits.text[:at] + "00" + bits.text[at + 1 :]), number_bits


def as_field(unit: bytes, number_bits: int, bottom: bool) -> bytes:
    """An IDR frame as the first field of one, or as the second, which is none."""
    bits = Bits(unit)
    for _ in range(3):
        bits.ue()
    bits.u(number_bits)
    start = bits.place
    bits.ue()  # the number of the restart
    restart = bits.text[start : bits.place]
    marking = bits.text[bits.place : bits.place + 2]
    rest = bits.text[bits.place + 2 :].rstrip("0")
    first = unit[0] & 0xE0 | (SLICE if bottom else IDR)
    return unit_of(first, bits.text[:start] + ("11" + "0" if bottom else "10" + restart + marking) + rest)


def write_fields(path: Path, fields: Pictures, *, together: bool) -> Path:
    """A clip of fields, those of a frame in one packet or each in its own."""
    packets: list[bytes] = []
    number_bits, head = 0, b""
    for number, units in enumerate(encode(fields)):
        data = b""
        for unit in units:
            kind = unit[0] & 31
            if kind == SPS:
                changed, number_bits = with_fields(unit)
                head = b"\0\0\0\1" + changed
            elif kind == PPS:
                head += b"\0\0\0\1" + unit
            elif kind == IDR:
                data += b"\0\0\0\1" + as_field(unit, number_bits, bottom=number % 2 == 1)
        packets.append(data)
    if together:
        packets = [first + second for first, second in zip(packets[::2], packets[1::2], strict=True)]
    raw = path.with_suffix(".h264")
    raw.write_bytes(head + b"".join(packets))
    step = Fraction(1, 25 if together else 50)
    with av.open(str(raw)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, data in enumerate(packets):
            packet = av.Packet(head + data if number == 0 else data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, step
            packet.is_keyframe = together or number % 2 == 0
            container.mux(packet)
    return path
