"""The forms in which videos are given, how they come to hand, and what reading one may cost.

A video is a file, its bytes, an address, a part of one of these (`Video`), or lies in a tar archive, where it is read
in place: a path such as `shards/00000.tar/1536+48213/run/a.mp4` means the 48213 bytes from byte 1536 of
`shards/00000.tar` on. It says all that a reader needs: no index has to be read or kept, however many videos there are
and in whatever order they are asked for. The rest of the path is the video's name.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from crossframe.pace import figure

File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.")
_LOGIN = re.compile(r"(?<=://)([^/?#@:]*:)?[^/?#]+(?=@)")
_TOKEN = re.compile(
    r"(?<![a-z0-9])((?:access_?|api_?|auth_?)?"
    r"(?:password|passwd|pass|pwd|pw|token|key|secret|signature|sig|auth|authorization|credential))=[^&;#?/]+",
    re.IGNORECASE,
)
_OF_PATH = re.compile(r"(https?:)/(?=[^/])")  # what pathlib makes of an address
MEMBER = re.compile(r"(?P<archive>.+\.tar)/(?P<offset>\d+)\+(?P<size>\d+)/.+", flags=re.DOTALL)
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")
# The endings of the names of files that FFmpeg reads as video; a file of another name is read where it is asked for.
_ENDINGS = (
    "264 265 3g2 3gp 3gpp amv asf av1 avi avs2 avs3 cavs dav dif divx dv evo f4v flv gif gxf h261 h263 h264 h265 hevc "
    "ifv ismv ivf m1v m2t m2ts m2v m4v mj2 mjpeg mjpg mkv mod mov mp4 mpe mpeg mpg mpv mts mxf nsv nut obu ogg ogm "
    "ogv qt rec rm rmvb roq swf tod trp ts vc1 vob vp8 vp9 vro webm wmv wtv xvid y4m"
)
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS.split())


class VideoError(ValueError):
    """A video that cannot be used. The message is one line that names the video and the remedy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of reading one file: seconds, bytes of memory, and frames.

    Seconds and frames are kept to in any process; memory by the size of what is decoded, and in processes of their own
    (`isolate`) by the system.
    """

    seconds: float = 60.0
    memory: int = 2 << 30
    frames: int = 4 << 20  # 46 hours at 25 frames a second

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.memory > 0 and self.frames > 0):
            raise ValueError(
                f"limits of {self.seconds} seconds, {self.memory} bytes and {self.frames} frames: use numbers above 0"
            )

    def out_of_time(self, name: str) -> VideoError:
        return VideoError(
            f"{name}: was not read within {figure(self.seconds, 6)} seconds; leave it out, or allow more time"
        )

    def check_memory(self, name: str, size: int) -> None:
        """Raise VideoError where frames take more than is allowed."""
        if size > self.memory:
            most = f"more than {self.memory >> 20}; ask for fewer or smaller ones"
            raise VideoError(f"{name}: needs {size >> 20} MB for its frames, {most}")


def failure(name: str, error: Exception) -> VideoError:
    """The VideoError for whatever PyAV, FFmpeg or NumPy raised while a file was read."""
    if isinstance(error, VideoError):
        return error
    if isinstance(error, MemoryError):
        reason = "asks for more memory than there is, as a damaged table does"
        return VideoError(f"{name}: {reason}; leave it out, or allow more memory")
    text = " ".join((getattr(error, "strerror", None) or str(error) or "").split())
    return VideoError(f"{name}: cannot be read ({text or type(error).__name__}); give a video file that plays")


_limits = Limits()


def set_limits(limits: Limits) -> None:
    """Sets the limits for each file that this process reads from now on."""
    global _limits
    _limits = limits


def limits_here() -> Limits:
    """The cost that is allowed now for each file that this process reads."""
    return _limits


@contextmanager
def limited(limits: Limits) -> Generator[None]:
    """Inside, each file may cost this much, also where a loader made here reads it later."""
    before = limits_here()
    set_limits(limits)
    try:
        yield
    finally:
        set_limits(before)


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


def without_secrets(address: str) -> str:
    """An address for people to see: a password, a user alone, and what is called a token or a key are left out.

    >>> without_secrets("rtsp://admin:1234@10.0.0.7/live?channel=1&token=abc")
    'rtsp://admin:***@10.0.0.7/live?channel=1&token=***'
    """
    if "://" not in address:
        return address
    return _TOKEN.sub(r"\1=***", _LOGIN.sub(lambda found: f"{found[1] or ''}***", address))


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


@dataclass(frozen=True, slots=True)
class Member:
    """`size` bytes of an archive, from `offset` on."""

    archive: Path
    offset: int
    size: int

    @property
    def address(self) -> str:
        """The name that FFmpeg opens."""
        return f"subfile,,start,{self.offset},end,{self.offset + self.size},,:file:{self.archive}"


def is_archive(path: Path) -> bool:
    """True for the name of a .tar, or of several by a pattern."""
    return path.suffix.lower() == ".tar" and not path.is_dir()


def check_unpacked(path: Path) -> None:
    """Raise ValueError for the name of a compressed file."""
    if path.suffix.lower() in PACKED and not path.is_dir():
        raise ValueError(f"{path} is compressed, and files are read where they lie: unpack it, to a folder or a .tar")


def member(path: Path) -> Member | None:
    """The part of an archive that a path means, None where it means a file, or nothing that is there.

    People write `shards/00000.tar/run/a.mp4`, for which the archive is looked through.

    >>> member(Path("s/0.tar/512+7/run/a.mp4"))
    Member(archive=PosixPath('s/0.tar'), offset=512, size=7)
    """
    text = path.as_posix()
    if ".tar/" not in text:
        return None
    if found := MEMBER.fullmatch(text):
        return Member(Path(found["archive"]), int(found["offset"]), int(found["size"]))
    return _named(path)


def places(archive: Path | str, file: IO[bytes] | None = None) -> dict[str, tuple[int, int]]:
    """The files in an archive by their names: where each begins and how long it is, in bytes.

    Of one that lies elsewhere, `file` is the open archive, and `archive` its address. Raises ValueError, in one line,
    where it is no archive that can be read where it lies, or names lead out of it.
    """
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(None if file else archive, "r:", fileobj=file) as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{archive}: {entry.name!r} leads out of the archive; pack it anew")
                if entry.isreg() and not entry.issparse():
                    found[name.as_posix()] = (entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"{archive} cannot be read as an uncompressed .tar ({error}); pack it anew") from error
    return found


def _named(path: Path) -> Member | None:
    for archive in path.parents:
        if archive.suffix == ".tar" and archive.is_file():
            status = archive.stat()
            try:
                inside = _known_places(archive, status.st_size, status.st_mtime_ns)
            except ValueError:  # it does not exist, then
                return None
            place = inside.get(path.relative_to(archive).as_posix())
            return Member(archive, *place) if place else None
    return None


@lru_cache(8)
def _known_places(archive: Path, _size: int, _changed: int) -> dict[str, tuple[int, int]]:
    return places(archive)


def file_of(path: Path) -> Path:
    """The file on the disk: the archive, where the path leads into one."""
    inside = member(path)
    return path if inside is None else inside.archive


def address(path: Path) -> str:
    """The name that FFmpeg opens. The prefix keeps it from taking a name with a colon for an address."""
    inside = member(path)
    return f"file:{path}" if inside is None else inside.address


def videos_in(folder: Path) -> list[Path]:
    """The videos in a folder and below it, by the endings of their names, sorted."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES)


def left_out_of(files: Iterable[Path]) -> str | None:
    """One line about those files that are not taken for videos, by ending; None where there are none."""
    endings = Counter(file.suffix.lower() or "without an ending" for file in files)
    others = [(count, ending) for ending, count in endings.most_common() if ending not in VIDEO_SUFFIXES]
    if not others:
        return None
    counts = ", ".join(f"{count} {ending}" for count, ending in others)
    total = sum(count for count, _ in others)
    one = "1 file is left out, which is not called a video"
    return f"{one if total == 1 else f'{total} files are left out, which are not called videos'}: {counts}"


def files_below(root: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones. Links to folders are followed, a link that leads back is not."""
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
