"""The files below a folder, and which of them are taken for videos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)


def videos_in(folder: Path) -> list[Path]:
    """The videos in a folder and below it, by the endings of their names, sorted."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES)


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
