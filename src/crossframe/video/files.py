"""Which files are taken for videos where a folder stands for them."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)


def videos_in(folder: Path) -> list[Path]:
    """The videos in a folder and below it, by the endings of their names, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
