"""A file that someone writes to, or a pipe, read while it grows; and MP4, which not always can be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import BinaryIO

from crossframe.video.boxes import boxes

POLL = 0.05  # seconds between looks at a file that grows
HEAD = 1 << 16  # bytes in which an MP4 says how it is made, if it can be read while it grows
INDEX = (
    "is an MP4 whose index comes last, so that it cannot be read from a pipe or while it grows; give MPEG-TS, Matroska "
    "or a fragmented MP4 (ffmpeg -movflags frag_keyframe+empty_moov)"
)
FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # boxes that an MP4 begins with


class Growing:
    """Gives what is there, and at the end waits for more, until `sleep` has been called for `idle` seconds in which
    there was none, or it is `stopped`."""

    def __init__(
        self, file: RawIOBase, stopped: Callable[[], bool], sleep: Callable[[float], None], idle: float
    ) -> None:
        self._file = file
        self._stopped = stopped
        self._sleep = sleep
        self._idle = idle
        self.head = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at all once the file has ended."""
        waited = 0.0
        while not (data := self._file.read(size)):
            if self._stopped() or waited >= self._idle:
                return b""
            self._sleep(POLL)
            waited += POLL
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]
        return data

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()


def is_complete(path: Path) -> bool:
    """True for an MP4 with one index, for which it is read here and there, even where that is still to come."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _has_one_index(file, path.stat().st_size)


def comes_last(head: bytes) -> bool:
    """True for the beginning of an MP4 whose index comes behind its pictures."""
    return _has_one_index(BytesIO(head), len(head), before=True)


def _has_one_index(file: BinaryIO, size: int, *, before: bool = False) -> bool:
    """True if an MP4 has its pictures before any index, or else, unless only that counts, all of an index, which is not
    of fragments."""
    for number, (kind, body, stop) in enumerate(boxes(file, 0, size)):
        if number == 0 and kind not in FIRST:
            return False
        if kind == b"mdat":
            return True
        if kind == b"moov":
            return not before and stop <= size and all(inner != b"mvex" for inner, _, _ in boxes(file, body, stop))
    return False
