"""Files and folders that are written whole or not at all: under a temporary name, onto the disk, and then renamed."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

log = logging.getLogger(__name__)

LOCK = ".lock"  # in a folder that one process at a time may write to
PAGES = (".html", ".htm")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, or what `ulimit -f` allows


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, which replaces it when the block succeeds.

    When the block fails (a full disk, Ctrl-C), the old content of `path` stays and the temporary file is removed.
    """
    check_ordinary(path)
    part = _part(path.parent, path.name)
    try:
        yield part
        _sync(part)
        os.replace(part, path)
    except OSError as error:
        # the name that people know; a full disk is told without one
        if error.filename == str(part) or error.errno in FULL:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):  # on a disk that cannot be written to, this is not what to tell
            part.unlink()


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Make `folder` what `write` puts into an empty one; until that is done, and if it fails, the old one stays.

    A process that dies between the two last renames leaves the old folder under another name: see `recover`.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    recover(folder)
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        write(new)
        _sync(*new.iterdir(), new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        recover(folder)
        shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put the old folder back where a process died before the new one stood in its place."""
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)


@contextmanager
def written_alone(folder: Path) -> Generator[None]:
    """Inside, no other process may write to `folder`, which is made if needed; the system lets go of it when this
    process ends, however it ends. Where the system or the disk has no locks, nothing is held.

    Raises ValueError, in one line, where another process writes to it.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)  # over a network only what is open for writing is locked
    except PermissionError:  # it is another person's
        handle = os.open(lock, os.O_RDONLY)
    _held.add(handle)
    try:
        if not _locked(handle, lock):
            raise ValueError(f"{folder}: another process writes to it; wait for it, or give --out another folder")
        try:
            yield
        except BaseException:
            if made and handle in _held and os.listdir(folder) == [LOCK]:  # nothing came of it
                with suppress(OSError):
                    lock.unlink()
                    folder.rmdir()
            raise
    finally:
        if handle in _held:
            _held.remove(handle)
            os.close(handle)


_held: set[int] = set()  # handles that this process has opened itself


def _locked(handle: int, path: Path) -> bool:
    """Lock an open file. False where another process has done so, or has just removed it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this disk has no locks
        return True
    return path.exists() and os.path.samestat(os.fstat(handle), path.stat())


def _let_go() -> None:
    """In a process that was forked: what it holds would stay held when its parent is killed."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def adding_files(folder: Path, last: str) -> Generator[Path]:
    """An empty folder whose files move into `folder` when the block succeeds, each in one step, that named `last` last.

    `folder` is made if needed; other files in it stay. When the block fails, it is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # in the folder where it is there: whoever was killed while saving leaves nothing beside it
    part = _part(folder if folder.is_dir() else folder.parent, folder.name)
    shutil.rmtree(part, ignore_errors=True)
    try:
        try:
            part.mkdir()
        except OSError as error:
            error.filename = str(folder)  # the name that people know
            raise
        yield part
        for path in part.iterdir():
            path.chmod(part.stat().st_mode & 0o666)  # some libraries write for the owner alone
        _sync(*part.iterdir(), part)
        if not folder.exists():
            part.rename(folder)
            return
        for path in sorted(part.iterdir(), key=lambda path: path.name == last):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raise OSError now, rather than after an hour, if a folder can be neither written nor made."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        reason = errno.EEXIST if place == folder.absolute() else errno.ENOTDIR
    elif not os.access(place, os.W_OK):
        reason = errno.EACCES
    else:
        return
    raise OSError(reason, os.strerror(reason), str(folder))


def check_ordinary(path: Path) -> None:
    """Raise OSError for a device, a pipe or a socket, or a link to one: a file would take its place."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "is a device or a pipe, where a file is needed", str(path))


def check_ending(path: Path, what: str, endings: Sequence[str], others: Sequence[str] = ()) -> None:
    """Raise ValueError where `what` is to be written to a file whose name says another form, or none.

    `others` are as good as `endings`, and not told.
    """
    if path.suffix.lower() not in (*endings, *others):
        told = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise ValueError(f"{path} is no name for {what}; let it end in {told}")


def check_page(path: Path) -> None:
    """Raise ValueError or OSError now, rather than after an hour, where no page can be written to `path`.

    Another file than a page of ours, the video that was asked about above all, is not written over because of a slip.
    """
    check_ending(path, "a page", PAGES[:1], PAGES)
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.is_file() and (content := path.read_bytes()) and b"crossframe" not in content:  # which our pages name
        raise ValueError(f"{path} is there, and no page of crossframe; give another name")
    check_writable(path.parent)


def check_unused(path: Path) -> None:
    """Raise ValueError where a file has content already, which people may have made or corrected by hand."""
    if path.is_file() and path.stat().st_size:
        raise ValueError(f"{path} is there already, and may have been corrected by hand; give --out another name")


@contextmanager
def replacing_list(path: Path) -> Generator[Path]:
    """As `replacing`, for a list. The one before stays beside it, as NAME.old, if the new one lacks lines of it: people
    may have corrected them by hand."""
    with replacing(path) as part:
        yield part
        before = path.read_bytes() if path.is_file() else b""
        if {*before.splitlines()} - {*part.read_bytes().splitlines()}:
            old = path.with_name(f"{path.name}.old")
            with replacing(old) as target:  # before its place is taken
                target.write_bytes(before)
            log.warning("%s held another list, which is %s now", path, old.name)


def check_not_read(out: Path, *inputs: str | Path | None) -> None:
    """Raise ValueError where writing `out` would destroy what is read: one of `inputs`, whatever name it has there."""
    for given in inputs:
        path = Path(given) if given else None
        if path and path.exists() and out.exists() and path.samefile(out):
            raise ValueError(f"{out} is read, and would be written over; give what is written another name")


def path_from(folder: Path, file: Path) -> str:
    """A file as a list in `folder` names it: by the path from there where it lies below, by the whole one elsewhere."""
    folder, file = folder.absolute(), file.absolute()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed while writing left in a folder and below it."""
    for part in [*folder.rglob(".*.part")]:
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; its folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as target:
        target.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write values as indented JSON; see `plain_json`."""
    write_text(path, plain_json(values, indent=2, ensure_ascii=False) + "\n")


def plain_json(values: Any, **options: Any) -> str:
    """Values as JSON that every program reads: null stands for NaN and infinity, which JSON has no words for."""
    try:
        return json.dumps(values, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(values), allow_nan=False, **options)


def _finite(values: Any) -> Any:
    match values:
        case float():
            return values if math.isfinite(values) else None
        case dict():
            return {name: _finite(value) for name, value in cast("dict[Any, Any]", values).items()}
        case list() | tuple():
            return [_finite(value) for value in cast("list[Any]", values)]
        case _:
            return values


def _part(folder: Path, name: str) -> Path:
    # absolute, or FFmpeg would take a folder with a colon in its name for a protocol
    return folder.absolute() / f".{name}.{os.getpid()}.part"


def _beside(folder: Path, word: str) -> Path:
    return folder.with_name(f".{folder.name}.{word}")


def _sync(*paths: Path) -> None:
    """Have the content of files and folders on the disk, so that no rename can come before it."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
