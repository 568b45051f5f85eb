"""The boxes that MP4 and QuickTime are made of."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MOV_BOXES = {b"ftyp", b"moov", b"moof", b"mfra", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"emsg"}
MOV_MORE = {b"pnot", b"prft", b"udta", b"uuid", b"meta", b"pdin", b"ssix", b"PICT"}
DEEPEST = 8  # five are usual
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes from `start` on: their kinds, and where what is in them begins and ends, which may be beyond `end`.

    What cannot be a box ends them. Between two of them, the file may be read from anywhere.
    """
    while start + 8 <= end:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        body = start + 8
        if size == 1 and start + 16 <= end:
            size, body = struct.unpack(">Q", file.read(8))[0], start + 16
        stop = start + size if size else end
        if stop < body:
            return
        yield kind, body, stop
        start = stop


def leaves(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """The boxes that hold no others, depth first: their kinds, and where what is in them begins and ends."""
    for kind, body, stop in boxes(file, start, end) if depth < DEEPEST else ():
        if depth == 0 and kind not in MOV_BOXES | MOV_MORE:
            return
        if kind in PARENTS:
            yield from leaves(file, body, min(stop, end), depth + 1)
        else:
            yield kind, body, min(stop, end)
