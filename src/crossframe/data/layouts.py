"""The forms in which people store labeled clips: lists in one file, folders for each class, archives.

| form | read by |
|---|---|
| a folder for each class, perhaps in one for each split | here |
| a folder with `manifest.csv`, `.parquet`, or Hugging Face's `metadata.csv`, `.jsonl`, `.parquet` | `lists` |
| CSV, TSV, Parquet, JSON, JSON lines with columns `path` (or `file_name`) and `label` | `lists` |
| names of class numbers and videos' paths, as Hugging Face's `datasets` writes them | `hugging_face` |
| paths and class numbers, with or without a header, comma or space | `lists` |
| JSON of ActivityNet and Kinetics | `annotations` |
| webdataset's .tar, one, several by a pattern, or a folder of them | `archives` |
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, cast

from crossframe.data.annotations import database_of, place_segments, read_segments
from crossframe.data.archives import Archive, read_samples, shards
from crossframe.data.clip import Clip
from crossframe.data.hugging_face import check_not_saved
from crossframe.data.lists import JSON_LINES, SPLITS, is_list, read_table, split_named, warn_once
from crossframe.pace import counted
from crossframe.text.label_files import read_labels
from crossframe.text.labels import some
from crossframe.text.reading import read_values
from crossframe.video.given import VIDEO_SUFFIXES, check_unpacked, files_below, is_archive, left_out_of, videos_in

FORMS = "a .csv, .tsv, .parquet, .json, .jsonl, .txt or .tar file, or a folder with one folder for each class"
TABLES = ("manifest.csv", "manifest.parquet", "metadata.csv", "metadata.jsonl", "metadata.parquet")
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".json", *JSON_LINES, ".tar")

__all__ = ["read_candidates", "read_clips", "split_named"]


def read_clips(source: Path, labels: Sequence[str] | None, root: Path | None = None) -> tuple[list[Clip], Path]:
    """The clips of a data set in any known layout, and the folder that their paths are relative to.

    `labels` are needed where the file has only class indices. `root` is where the videos are, if not beside the list: a
    folder, or a .tar archive, or several by a pattern. Raises ValueError where `source` is none of the layouts.
    """
    if root is not None and is_archive(root):
        archive = Archive.read(root)
        clips, _ = _read(source, labels, archive)
        placed = [replace(clip, path=archive.find(_usual(clip.path)) or clip.path) for clip in clips]
        return placed, archive.folder
    if root is not None and not root.is_dir():
        check_unpacked(root)
        raise ValueError(f"{root} is no folder and no .tar; give the place of the videos as root")
    clips, folder = _read(source, labels, root)
    base = root or folder
    for split, count in Counter(clip.split for clip in clips if clip.split.isalpha()).items():
        near = get_close_matches(split, SPLITS, n=1, cutoff=0.75)
        if split not in SPLITS and near:
            warn_once(f"{source}: {counted(count, 'clip')} of split {split!r}, a split of its own; is it {near[0]!r}?")
    return [replace(clip, path=_usual(clip.path, base)) for clip in clips], base


def _usual(path: str, base: Path | None = None) -> str:
    """The usual way to write a path: without ./, and with / between folders, unless `base` has the file with a \\."""
    if "\\" in path and not (base and (base / path).exists()):
        path = path.replace("\\", "/")
    return PurePosixPath(path).as_posix()


def check_there(source: str | None) -> None:
    """Raise ValueError now, before anything slow is done, where a list that was named is not there."""
    if source is not None and "{" not in source and not Path(source).exists():
        raise ValueError(f"{source} does not exist; give {FORMS}")


def read_candidates(source: Path) -> list[str]:
    """The labels of a data set in any known layout, sorted, or those of a label file, in its order."""
    if source.is_file() and _holds_labels(source):
        return read_labels(source)
    clips, _ = read_clips(source, None)
    return sorted({label for clip in clips for label in clip.labels})


def _holds_labels(source: Path) -> bool:
    """True for a file of labels, False for a list of clips."""
    if source.suffix.lower() != ".json":
        return source.suffix.lower() in (".csv", ".tsv", ".txt", ".yaml", ".yml") and not is_list(source)
    values = read_values(source)
    records = isinstance(values, list) and any(isinstance(item, dict) for item in cast("list[object]", values))
    return database_of(values) is None and not records


def _read(source: Path, labels: Sequence[str] | None, root: Path | Archive | None) -> tuple[list[Clip], Path]:
    if source.is_dir():
        return _read_folder(source, labels), source
    if is_archive(source) and (source.is_file() or "{" in str(source)):
        return _samples(shards(source), labels)
    if not source.is_file():
        raise ValueError(f"{source} does not exist; give {FORMS}")
    check_unpacked(source)
    if source.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{source} is no manifest; give {FORMS}")
    if source.suffix.lower() == ".json" and (database := database_of(read_values(source))) is not None:
        return _stretches(source, database, root or source.parent), source.parent
    return read_table(source, labels), source.parent


def _read_folder(source: Path, labels: Sequence[str] | None) -> list[Clip]:
    if (clips := _described(source, labels)) is not None:
        return clips
    parts = {folder: _described(folder, labels) for folder in _folders(source) if folder.name.lower() in SPLITS}
    if parts and all(parts.values()):  # Hugging Face's and webdataset's, one for each split
        return [
            replace(clip, path=f"{folder.name}/{clip.path}", split=clip.split or split_named(folder.name))
            for folder, clips in parts.items()
            for clip in clips or ()
        ]
    check_not_saved(source)
    return list(_from_folders(source))


def _described(folder: Path, labels: Sequence[str] | None) -> list[Clip] | None:
    """The clips of the table or of the archives in a folder; None where it has neither."""
    for name in TABLES:
        if (folder / name).is_file():
            return read_table(folder / name, labels)
    archives = sorted(folder.glob("*.tar"))
    return _samples(archives, labels)[0] if archives and not _folders(folder) else None


def _samples(archives: Sequence[Path], labels: Sequence[str] | None) -> tuple[list[Clip], Path]:
    """The clips of webdataset archives, in their order, and the folder that all of these are in."""
    folder = Path(os.path.commonpath([archive.parent for archive in archives]))
    return [
        replace(clip, path=(archive.parent.relative_to(folder) / clip.path).as_posix())
        for archive in archives
        for clip in read_samples(archive, labels)
    ], folder


def _stretches(source: Path, database: Mapping[str, Any], root: Path | Archive) -> list[Clip]:
    """The annotated stretches of videos; those whose files are not there have a path at which there is none."""
    if isinstance(root, Archive):
        files = {PurePosixPath(name).stem: name for name in root.files}
    else:
        files = {file.stem: file.relative_to(root).as_posix() for file in videos_in(root)}
    segments = read_segments(source, database)
    return [
        clip or Clip(f"{one.video}.mp4", one.label, one.split, one.start, one.end, one.video)
        for one, clip in place_segments(segments, files.get)
    ]


def _from_folders(source: Path) -> Iterator[Clip]:
    """One folder for each class, or those in one folder for each split."""
    folders = _folders(source)
    if not folders:
        raise ValueError(f"{source} holds no folders; give one folder of videos for each class, or a manifest")
    divided = all(folder.name.lower() in SPLITS for folder in folders)
    if divided:
        parts = [(split_named(folder.name), inner) for folder in folders for inner in _folders(folder)]
    else:
        parts = [("", folder) for folder in folders]
    everything = [*files_below(source)]
    if others := left_out_of([file for file in everything if file.parent != source]):  # there lie notes and lists
        warn_once(f"{source}: {others}")
    files: defaultdict[Path, list[Path]] = defaultdict(list)  # of each class; a link that leads to another adds none
    for file in sorted(file for file in everything if file.suffix.lower() in VIDEO_SUFFIXES):
        files[source.joinpath(*file.relative_to(source).parts[: 1 + divided])].append(file)
    if loose := [place.name for place in files if place.is_file()]:
        warn_once(f"{source}: {counted(len(loose), 'video')} in no folder of a class, left out: {some(loose)}")
    for split, folder in parts:
        if folder not in files:
            raise ValueError(f"class {folder.name!r} is empty: {folder} holds no video; add clips or remove the folder")
        for file in files[folder]:
            yield Clip(file.relative_to(source).as_posix(), folder.name, split)


def _folders(source: Path) -> list[Path]:
    return sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
