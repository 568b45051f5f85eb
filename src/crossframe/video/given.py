"""The forms in which a video may be given, and how it comes to hand: a path or bytes, whatever it was."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from crossframe.video.guard import VideoError
from crossframe.video.media import limits_here

File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.")
_OF_PATH = re.compile(r"(https?:)/(?=[^/])")  # what pathlib makes of an address


class Readable(Protocol):
    """A file that is open for bytes."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Video:
    """A video to be read: where it is, which part of it is meant, and what to call it.

    `source` is a path, an address (https, or whatever `fsspec` has a package for), the bytes of a file, or a file that
    is open for bytes. `start` and `end` are seconds after the first frame; None means those of the file. `name` stands
    in results and messages, by default the path or address.

    Raises VideoError where no part can last from `start` to `end`, or `source` is no video.
    """

    source: File | Readable
    start: float | None = None
    end: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", source_name(self.source))
        begin = 0.0 if self.start is None else self.start
        if not begin >= 0.0 or not (self.end is None or self.end > begin):
            reason = f"no part can last from {self.start} to {self.end} s; start at 0 or later, end after it"
            raise VideoError(f"{self.name}: {reason}")

    @property
    def whole(self) -> bool:
        """Not a part of a file."""
        return self.start is None and self.end is None

    def about(self) -> dict[str, Any]:
        """The entries of records that name it: `video`, its name, and `start` and `end` where they were given."""
        times = {"start": self.start, "end": self.end}
        return {"video": self.name, **{name: time for name, time in times.items() if time is not None}}


@contextmanager
def at_hand(source: File | Readable | Video) -> Generator[Video]:
    """The same video as a path or bytes: an address is downloaded, an open file is read from where it stands.

    Raises VideoError where that cannot be done.
    """
    video = source if isinstance(source, Video) else Video(source)
    match video.source:
        case bytes() | Path():
            given = address_of(video.source)
            if given is None:
                yield video
                return
        case bytearray() | memoryview() as data:
            yield replace(video, source=bytes(data))
            return
        case str() | os.PathLike() as path:
            given = address_of(path)
            if given is None:
                yield replace(video, source=Path(path))
                return
        case file:
            yield replace(video, source=_path_of(file) or _content(file, video.name))
            return
    if given.startswith("file:"):
        yield replace(video, source=Path(url2pathname(urlsplit(given).path)))
        return
    from crossframe.video.remote import fetched  # few need it

    with fetched(given) as path:
        yield replace(video, source=path)


def address_of(source: object) -> str | None:
    """The address that a path means; None where it means a file of this machine."""
    if not isinstance(source, str | os.PathLike):
        return None
    text = os.fspath(source)
    if isinstance(source, os.PathLike):
        text = _OF_PATH.sub(r"\1//", text, count=1)
    return text if ADDRESS.match(text) else None


def source_name(source: object) -> str:
    """The name by which messages call a file, its bytes or a file that is open. Raises VideoError for anything else.

    In angle brackets stands what has no path.
    """
    if isinstance(source, Video):
        return source.name
    if isinstance(source, str | os.PathLike):
        return address_of(source) or os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if not callable(getattr(source, "read", None)):
        raise VideoError(
            f"{type(source).__name__} is no video; give a path or an address, the bytes of a file, a file that is open "
            f"for bytes, or an array of uint8 frames"
        )
    if path := _path_of(source):
        return str(path)
    name = getattr(source, "full_name", None) or getattr(source, "name", None)  # as fsspec or Python calls it
    return f"<{name}>" if isinstance(name, str) and name else "<bytes>"


def _path_of(file: Any) -> Path | None:
    """The path of an open file that stands at its beginning, if that path still leads to it."""
    name = getattr(file, "name", None)
    try:
        if isinstance(name, str) and file.tell() == 0 and os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
            return Path(name)
    except (OSError, ValueError, AttributeError):  # it is in memory, closed, a pipe, or its path is gone
        pass
    return None


def _content(file: Readable, name: str) -> bytes:
    most = limits_here().memory
    try:
        data = file.read(most + 1)
    except (OSError, ValueError) as error:  # a ValueError is a closed file
        raise VideoError(f"{name}: cannot be read ({error}); open it again") from error
    if not isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
        raise VideoError(f"{name}: is open for text; open it with mode 'rb'")
    if not data and name == "-":
        raise VideoError("-: has nothing left to read: standard input was empty; pipe the bytes of a video into it")
    if not data:
        raise VideoError(f"{name}: has nothing left to read; call seek(0) first, or give the bytes of a video file")
    if len(data) > most:
        raise VideoError(f"{name}: has more than {most >> 20} MB; give its path, or allow more memory")
    return data
