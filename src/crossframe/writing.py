"""Files that are written whole or not at all, and how videos are encoded."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, which replaces it when the block succeeds.

    When the block fails (a full disk, Ctrl-C), the old content of `path` stays and the temporary file is removed.
    """
    # absolute, or FFmpeg would take a folder with a colon in its name for a protocol
    part = path.absolute().with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        # the name that people know; a full disk is told without one
        if error.filename == str(part) or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):  # on a disk that cannot be written to, this is not what to tell
            part.unlink()


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


def remove_parts(folder: Path) -> None:
    """Remove partial files, in a folder and below it, of processes that were killed while writing."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; its folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as target:
        target.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write values as indented JSON."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def x264_options(quality: int) -> dict[str, str]:
    """FFmpeg's options for libx264 that give the same bytes for the same frames; `quality` is the constant rate factor.

    One thread, since files are encoded in parallel. No macroblock tree: for widths of an odd number of macroblocks it
    reads uninitialised memory, and the same frames gave different bytes from one process to the next.
    """
    return {"crf": str(quality), "preset": "veryfast", "threads": "1", "x264-params": "no-mbtree=1"}
