"""Videos at an address, downloaded into a folder of limited size; whole or not at all.

`https` and `http` are read by Python itself, any other address by `fsspec`, the extra `remote`. A copy is named by its
address and by what the server says of its version (ETag, date, size), so one that is there already is used as long as
the original stays the same. Those that were used longest ago make room for others; while a copy is being read, it is
locked, and no process removes it. Of a tar archive, the part that a path leads to is downloaded alone, as
`s3://bucket/00000.tar/1536+48213/run/a.mp4` says it (`crossframe.video.given`).
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Self, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from crossframe import __version__
from crossframe.extras import install_command
from crossframe.files import replacing
from crossframe.video.given import MEMBER, VIDEO_SUFFIXES, VideoError, places, without_secrets

MOST = 10 << 30
STALLED = 30.0  # seconds without a byte, after which a connection is given up
BLOCK = 1 << 20
HEADERS = 1 << 14  # bytes that are read of an archive at each of its files
AT_ONCE = 16  # archives that are looked into
_most = MOST
_downloads: dict[Path, Lock] = {}  # one at a time of each copy, in this process


@dataclass(frozen=True, slots=True)
class _Remote:
    """An open file somewhere else, or a part of one; its `version` is empty where nobody knows it."""

    stream: BinaryIO | HTTPResponse | _Part
    size: int | None
    version: str


@dataclass(slots=True)
class _Part:
    """The bytes of a file in a storage from `at` until before `end`, to be read from first to last."""

    system: Any
    path: str
    at: int
    end: int

    def read(self, size: int) -> bytes:
        """Raises what this kind of storage does where they cannot be had."""
        if self.at >= self.end:
            return b""
        found: bytes = self.system.cat_file(self.path, start=self.at, end=min(self.at + size, self.end))
        self.at += len(found)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def cache_folder() -> Path:
    """Where downloads are: `$CROSSFRAME_CACHE`, or crossframe's part of `$XDG_CACHE_HOME`, by default `~/.cache`."""
    own = os.environ.get("CROSSFRAME_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own).expanduser() if own else Path(base).expanduser() / "crossframe" / "videos"


def set_cache_limit(size: int) -> None:
    """Sets how many bytes of downloads this process keeps; no file may be larger."""
    global _most
    if size < 1:
        raise ValueError(f"{size} bytes for downloads are not possible; use 1 or more")
    _most = size


@contextmanager
def fetched(address: str) -> Generator[Path]:
    """The copy of a remote file on this machine, which stays there inside of 'with'.

    Raises VideoError, in one line, where it cannot be had.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with _opened(address) as remote:
            if remote.size is not None and remote.size > _most:
                raise _too_large(address, remote.size)
            ending = re.sub(r"[^.\w]", "", Path(urlsplit(address).path).suffix)[:8]
            name = sha256(f"{address}\n{remote.version}".encode()).hexdigest()[:40]
            path = folder / f"{name}{ending}"
            with _downloads.setdefault(path, Lock()):
                if not (remote.version and _hold(path, held)):
                    _make_room(folder, remote.size or 0)
                    with replacing(path) as part:
                        file = held.enter_context(part.open("wb"))
                        _lock(file)
                        _copy(address, remote, file)
                    _make_room(folder, 0)
        os.utime(path)
        yield path


def listed(address: str) -> list[str]:
    """The addresses of all videos below a remote folder, `s3://bucket/clips/`, or of those that fit a pattern with `*`.

    Raises VideoError, in one line, where it cannot be looked into.
    """
    system, path = _system(address)
    try:
        found = system.glob(path) if "*" in address else system.find(path)
    except Exception as error:  # each kind of storage has its own
        raise VideoError(
            f"{without_secrets(address)}: cannot be looked into ({_reason(error)}); check the address"
        ) from error
    names = sorted(str(system.unstrip_protocol(name)) for name in cast("list[str]", found))
    wanted = (".tar",) if address.lower().endswith(".tar") else VIDEO_SUFFIXES
    return [name for name in names if Path(urlsplit(name).path).suffix.lower() in wanted]


def listed_within(archives: Sequence[str]) -> Iterator[list[str] | VideoError]:
    """The addresses of all videos in each of these tar archives, of which only the headers are read; or why there are
    none."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-into") as threads:
        yield from threads.map(_listed_within, archives)


def _listed_within(archive: str) -> list[str] | VideoError:
    try:
        system, path = _system(archive)
        with system.open(path, "rb", block_size=HEADERS) as file:
            try:
                found = places(archive, file)
            except ValueError as error:
                return VideoError(str(error))
    except VideoError as error:
        return error
    except Exception as error:  # each kind of storage has its own
        return VideoError(f"{without_secrets(archive)}: cannot be looked into ({_reason(error)}); check the address")
    names = sorted(name for name in found if Path(name).suffix.lower() in VIDEO_SUFFIXES)
    return [f"{archive}/{found[name][0]}+{found[name][1]}/{name}" for name in names]


def _system(address: str) -> tuple[Any, str]:
    """The storage that an address leads to, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise VideoError(f"{without_secrets(address)}: needs fsspec; {install_command('remote')}") from error
    try:
        return cast("tuple[Any, str]", url_to_fs(address))
    except Exception as error:
        raise VideoError(
            f"{without_secrets(address)}: cannot be opened ({_reason(error)}); check the address"
        ) from error


def _copy(address: str, remote: _Remote, file: Any) -> None:
    """Write the remote file; raises VideoError where it breaks off."""
    size = 0
    while True:
        try:
            block = remote.stream.read(BLOCK)
        except Exception as error:  # each kind of storage has its own
            raise VideoError(
                f"{without_secrets(address)}: broke off after {size} bytes ({_reason(error)}); try again"
            ) from error
        if not block:
            break
        size += len(block)
        if size > _most:
            raise _too_large(address, size)
        file.write(block)
    file.flush()  # it is still open when it gets its name
    if remote.size is not None and size != remote.size:
        raise VideoError(f"{without_secrets(address)}: broke off after {size} of {remote.size} bytes; try again")


@contextmanager
def _opened(address: str) -> Generator[_Remote]:
    inside = MEMBER.fullmatch(address)
    begin, size = (int(inside["offset"]), int(inside["size"])) if inside else (0, None)
    whole = inside["archive"] if inside else address
    if urlsplit(address).scheme.lower() in ("http", "https"):
        with _over_http(whole, begin, size) as answer:
            header = answer.headers
            if header.get_content_type() == "text/html":
                raise VideoError(
                    f"{without_secrets(address)}: is a web page; give the address of the video file itself "
                    f"(yt-dlp finds it)"
                )
            length = header.get("Content-Length")
            version = header.get("ETag") or header.get("Last-Modified") or ""
            known = int(length) if length and length.isdecimal() else None
            yield _Remote(answer, known, version and f"{version} {length}")
        return
    system, path = _system(whole)
    try:
        about = system.info(path)
        stream = system.open(path, "rb") if size is None else _Part(system, path, begin, begin + size)
    except FileNotFoundError as error:
        raise VideoError(f"{without_secrets(address)}: does not exist; check the address") from error
    except Exception as error:  # each kind of storage has its own
        raise VideoError(
            f"{without_secrets(address)}: cannot be opened ({_reason(error)}); check the address"
        ) from error
    with stream:
        yield _Remote(stream, about.get("size") if size is None else size, str(about))  # without asking again


def _over_http(address: str, begin: int, size: int | None) -> HTTPResponse:
    # blanks and letters beyond ASCII, as browsers show addresses; what is encoded already stays
    parts = urlsplit(quote(address, safe="%/:=&?#+!$,;'@()*[]~"))
    user, given, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": f"crossframe/{__version__}"}
    if size is not None:
        headers["Range"] = f"bytes={begin}-{begin + size - 1}"
    request = Request(parts._replace(netloc=host).geturl(), headers=headers)
    if given and user:  # not for another host, to which it may be sent on
        login = unquote(user if ":" in user else f"{user}:")
        request.add_unredirected_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        answer = urlopen(request, timeout=STALLED)
    except HTTPError as error:
        error.close()
        raise VideoError(
            f"{without_secrets(address)}: the server says {error.code} {error.reason}; check the address"
        ) from error
    except (URLError, OSError, HTTPException, ValueError) as error:
        reason = _reason(getattr(error, "reason", error))
        raise VideoError(
            f"{without_secrets(address)}: cannot be reached ({reason}); check the address and the network"
        ) from error
    if size is not None and answer.status != HTTPStatus.PARTIAL_CONTENT:
        answer.close()
        raise VideoError(f"{without_secrets(address)}: the server gives whole archives alone; fetch it first")
    return answer


def _make_room(folder: Path, size: int) -> None:
    """Remove copies that nobody reads, those used longest ago first, until `size` bytes more fit."""
    copies: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            status = path.stat()
            copies.append((status.st_mtime, status.st_size, path))
    total = sum(length for _, length, _ in copies) + size
    for _, length, path in sorted(copies):
        if total <= _most:
            return
        with suppress(OSError), path.open("rb") as file:  # OSError: it is gone, or being read
            _lock(file, alone=True)
            path.unlink()
            total -= length


def _hold(path: Path, held: ExitStack) -> bool:
    """Lock a copy for as long as it is `held`; False where there is none."""
    with suppress(FileNotFoundError):
        file = held.enter_context(path.open("rb"))
        _lock(file)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())  # or else it has just been removed
    return False


def _lock(file: Any, *, alone: bool = False) -> None:
    """Raises OSError where `alone` is asked for and others read it."""
    try:
        import fcntl
    except ImportError:  # Windows removes no file that is open
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)


def _too_large(address: str, size: int) -> VideoError:
    return VideoError(
        f"{without_secrets(address)}: has {size:,} bytes, more than the {_most:,} for downloads; allow more, or "
        f"fetch it first"
    )


def _reason(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
