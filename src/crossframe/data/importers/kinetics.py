"""Kinetics-400, -600 and -700: tables of YouTube ids and times, and clips cut from the videos.

A table has the columns label, youtube_id, time_start, time_end, split, and maybe is_cc; it is known by them, whatever
its file is called. The clip of seconds 12 to 22 of video `id` is `id_000012_000022.mp4`, in a folder of its class or
in any other. Instead of tables, JSON with a segment for each video is read. Many videos are no longer on YouTube, so
that every copy of the data set lacks some.

About 1,400 broken clips of Kinetics-400 were published again, in a folder whose name begins with "replacement"; such a
file stands for the clip of its YouTube id, the first 11 letters of its name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from crossframe.data.importers.activitynet import placed, segments_of
from crossframe.data.importers.imported import Imported, Listed, Tree, assemble, collect, read_lists
from crossframe.data.layouts import split_named
from crossframe.text.reading import read_text

COLUMNS = {"youtube_id", "time_start", "time_end"}
ID_LENGTH = 11


def import_kinetics(root: Path, annotations: Path | None = None) -> Imported:
    """The clips of all tables below `annotations`, or below `root`."""
    videos, lists = read_lists(root, annotations)
    listed: list[Listed] = []
    notes: list[str] = []
    for table in lists.lists:
        clips = list(_read_table(table)) if table.suffix.lower() == ".csv" else []
        labeled = [clip for clip in clips if clip.label]
        listed += labeled
        if len(labeled) < len(clips):
            notes.append(f"{table.name} has {len(clips) - len(labeled)} clips without a label, which are left out")
    if not listed and (segments := segments_of(lists.lists)):  # as DeepMind publishes it
        return collect(placed(segments, videos), sorted({one.label for one in segments}), videos.root, notes=notes)
    if not listed:
        raise ValueError(
            f"{lists.root} has no table with the columns label, {', '.join(sorted(COLUMNS))}; "
            f"give the folder of the official .csv files with --annotations"
        )
    labels = sorted({clip.label for clip in listed})
    found = {path.stem[:ID_LENGTH]: path for path in _replacements(videos)}
    replacements = {clip.name: found[clip.group] for clip in listed if clip.group and clip.group in found}
    return assemble(listed, labels, videos, replacements=replacements, notes=notes)


def clip_name(youtube_id: str, start: float, end: float) -> str:
    """The name of a clip's file, without its ending.

    >>> clip_name("---QUuC4vJs", 84, 94)
    '---QUuC4vJs_000084_000094'
    """
    return f"{youtube_id}_{int(start):06d}_{int(end):06d}"


def _read_table(path: Path) -> Iterator[Listed]:
    """The rows of a table of clips; nothing of any other table."""
    reader = csv.DictReader(StringIO(read_text(path)))
    try:
        if not COLUMNS.issubset(reader.fieldnames or ()):
            return
        for row in reader:
            yield _listed(path, reader.line_num, row)
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as a table ({error}); get it again") from error


def _listed(path: Path, line: int, row: dict[str, str | None]) -> Listed:
    youtube_id = (row["youtube_id"] or "").strip()
    try:
        name = clip_name(youtube_id, float(row["time_start"] or ""), float(row["time_end"] or ""))
    except ValueError:
        times = f"{row['time_start']!r} to {row['time_end']!r}"
        raise ValueError(f"{path}, line {line}: {times} are no times in seconds; correct the line") from None
    split = row.get("split") or next((part for part in ("train", "val", "test") if part in path.stem), path.stem)
    return Listed(name, (row.get("label") or "").strip(), split_named(split), group=youtube_id)


def _replacements(videos: Tree) -> Iterator[Path]:
    for paths in videos.videos.values():
        for path in paths:
            folders = path.relative_to(videos.root).parts[:-1]
            if any(folder.startswith("replacement") for folder in folders):
                yield path
