"""Clips of one's own: a folder for each class, or a table."""

from __future__ import annotations

from pathlib import Path

from crossframe.data.clip import Clip, check_apart
from crossframe.data.importers.imported import Imported
from crossframe.data.layouts import read_clips
from crossframe.data.manifest import Manifest
from crossframe.text.labels import some
from crossframe.video.given import file_of


def import_folder(root: Path) -> Imported:
    """A folder of videos for each class, or such folders in one folder for each split."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; give one that holds a folder of videos for each class")
    return _import(root, root)


def import_csv(root: Path, annotations: Path | None = None) -> Imported:
    """A list of clips in any form that names their labels, such as a table with columns path and label.

    `root` is the table, whose paths start from its own folder; or it is the folder that paths start from, and
    `annotations` is the table.
    """
    table = annotations or root
    if not table.is_file():
        raise ValueError(f"{table} is no file; give the .csv, or the folder of videos and the .csv with --annotations")
    return _import(table, root if annotations else None)


def _import(source: Path, root: Path | None) -> Imported:
    clips, root = read_clips(source, None, root)
    if shared := check_apart(clips, root):
        raise ValueError(shared)
    labels = tuple(sorted({label for clip in clips for label in clip.labels}))
    present: list[Clip] = []
    missing: list[str] = []
    for clip in clips:
        if file_of(root / clip.path).is_file():
            present.append(clip)
        else:
            missing.append(clip.path)
    if not present:
        raise ValueError(f"{root} has none of the {len(clips)} files listed: {some(missing)}; give their folder")
    return Imported(Manifest(tuple(present), labels, root), tuple(missing))
