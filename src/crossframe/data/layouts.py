"""The forms in which people store labelled clips: tables, a folder for each class, the X-CLIP authors' text files."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from crossframe.data.clip import Clip
from crossframe.data.parquet import read_rows
from crossframe.text.label_files import read_labels
from crossframe.text.reading import read_text
from crossframe.video.media import videos_in

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FORMS = "a .csv, .parquet or .txt file, or a folder with one folder for each class"
_REST = "\n"  # the key of fields without a column, and no name of a column
TABLES = ("manifest.csv", "manifest.parquet")


def read_clips(source: Path, labels: Sequence[str] | None) -> tuple[list[Clip], Path]:
    """The clips of a data set in any known layout, and the folder that their paths are relative to.

    `labels` are needed where the file has only class indices. Raises ValueError where `source` is none of the layouts.
    """
    if source.is_dir():
        table = next((source / name for name in TABLES if (source / name).is_file()), None)
        if table is None:
            return list(_from_folders(source)), source
        source = table
    if not source.is_file():
        raise ValueError(f"{source} does not exist; give {FORMS}")
    suffix = source.suffix.lower()
    if suffix == ".csv":
        rows: Iterator[tuple[str, Mapping[str, Any]]] = _csv_rows(source)
    elif suffix == ".parquet":
        rows = ((f"{source}, row {number}", row) for number, row in enumerate(read_rows(source)))
    elif suffix == ".txt":
        return list(_from_authors_list(source, labels)), source.parent
    else:
        raise ValueError(f"{source} is no manifest; give {FORMS}")
    clips = [_clip(where, row) for where, row in rows]
    if not clips:
        raise ValueError(f"{source} lists no clips; write one on each row")
    return clips, source.parent


def split_named(name: str) -> str:
    """The canonical name of a split: train, val or test for their synonyms, any other name as it is.

    >>> split_named("validate"), split_named("Train"), split_named("unseen")
    ('val', 'train', 'unseen')
    """
    return SPLITS.get(name.strip().lower(), name.strip())


def read_candidates(source: Path) -> list[str]:
    """The labels of a data set in any known layout, sorted, or those of a label file, in its order."""
    if source.suffix.lower() in (".csv", ".txt") and source.is_file():
        header = next(csv.reader([read_text(source).partition("\n")[0]]), [])
        if "path" not in [name.strip().lower() for name in header]:
            return read_labels(source)
    clips, _ = read_clips(source, None)
    return sorted({clip.label for clip in clips})


def _csv_rows(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(StringIO(read_text(source)), strict=True, restkey=_REST)
    try:
        header = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if header and not ("path" in header and {"label", "caption"} & set(header)):
            raise ValueError(
                f"{source}: the first line must be the names of the columns with commas between them, path,label at "
                f"least; it is {','.join(header)!r}"
            )
        for row in reader:
            where = f"{source}, line {reader.line_num}"
            if _REST in row:
                raise ValueError(f"{where}: has too many fields; put quotes around what contains a comma")
            if any(row.values()):  # spreadsheets end with rows of commas
                yield where, row
    except csv.Error as error:
        raise ValueError(f"{source}: {error}; check the quotes") from error


def _clip(where: str, row: Mapping[str, Any]) -> Clip:
    """A row of a table; unknown columns are ignored."""
    text = {name: "" if value is None else str(value).strip() for name, value in row.items()}
    label = "label" if "label" in text else "caption"
    for name in ("path", label):
        if not text.get(name):
            known = ", ".join(text)
            raise ValueError(f"{where}: has no {'label' if name == label else name}; the columns are {known}")
    try:
        start, end = (float(text[name]) if text.get(name) else None for name in ("start", "end"))
        split = split_named(text.get("split", ""))
        return Clip(text["path"], text[label], split, start, end, text.get("group") or None)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _from_authors_list(source: Path, labels: Sequence[str] | None) -> Iterator[Clip]:
    if labels is None:
        raise ValueError(f"{source} has class indices, not labels; give the file with their names (id,name) as labels")
    for number, line in enumerate(read_text(source).split("\n"), start=1):
        if not line.strip():
            continue
        path, *rest = line.strip().rsplit(maxsplit=1)  # the path may contain spaces, the index does not
        index = rest[0] if rest else ""
        if not index.isdecimal():
            raise ValueError(f"{source}, line {number}: {line.strip()!r} is not a path and a class index")
        if int(index) >= len(labels):
            raise ValueError(
                f"{source}, line {number}: class {index} is unknown; labels go from 0 to {len(labels) - 1}"
            )
        yield Clip(path, labels[int(index)], split=split_named(source.stem))


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
    files: defaultdict[Path, list[Path]] = defaultdict(list)  # of each class; a link that leads to another adds none
    for file in videos_in(source):
        files[source.joinpath(*file.relative_to(source).parts[: 1 + divided])].append(file)
    for split, folder in parts:
        if folder not in files:
            raise ValueError(f"class {folder.name!r} is empty: {folder} holds no video; add clips or remove the folder")
        for file in files[folder]:
            yield Clip(file.relative_to(source).as_posix(), folder.name, split)


def _folders(source: Path) -> list[Path]:
    return sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
