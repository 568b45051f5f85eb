"""Files as Hugging Face's `datasets` writes them: the names of class numbers, and its column of videos.

Numbers in the column `label` have their names in the schema of a Parquet file, or in the README.md of the data set. The
column `video` holds a path, or the file's own bytes, which are not read where they lie.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossframe.data.parquet import read_head
from crossframe.text.reading import read_text, yaml_values

SAVED = ("dataset_dict.json", "dataset_info.json")  # in the folder that `save_to_disk` writes
CARD = "README.md"
COLUMN = "video"
_AS_FILES = "write each to a file, and give a list of those with a column file_name"


def class_names(table: Path) -> list[str] | None:
    """The names that the numbers in a table's column `label` stand for, in order; None where nothing says so."""
    if table.suffix.lower() == ".parquet":
        features = json.loads(read_head(table)[0].get("huggingface", "{}")).get("info", {}).get("features", {})
        if names := features.get("label", {}).get("names"):
            return list(names)
    for folder in (table.parent, table.absolute().parent.parent):
        if (folder / CARD).is_file() and (names := _names_in_card(folder / CARD)):
            return names
    return None


def _names_in_card(path: Path) -> list[str] | None:
    """The names in the YAML at the head of a README: a list of features, of which `label` is a class_label."""
    _, opened, rest = read_text(path).partition("---\n")
    if not opened:
        return None
    info = yaml_values(path, rest.partition("\n---")[0])
    for part in _listed(info.get("dataset_info") if isinstance(info, dict) else None):
        for feature in _listed(part.get("features")):
            kind = feature.get("dtype")
            if feature.get("name") == "label" and isinstance(kind, dict) and isinstance(kind.get("class_label"), dict):
                names = kind["class_label"].get("names")
                return [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else list(names or ())
    return None


def _listed(value: Any) -> list[dict[str, Any]]:
    """A table, or a list of tables."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def check_not_saved(folder: Path) -> None:
    """Raise ValueError for a folder that `save_to_disk` or `push_to_hub` wrote."""
    if any((folder / name).is_file() for name in SAVED):
        raise ValueError(
            f"{folder} is what datasets' save_to_disk writes, for datasets alone: give the folder of videos that it "
            f"was made of, or a file that its to_parquet writes"
        )
    if parts := sorted([*folder.glob("*-of-*.parquet"), *folder.glob("data/*-of-*.parquet")]):
        raise ValueError(
            f"{folder} is a data set of Parquet files, as from the hub: give one of them, such as {parts[0]}"
        )


def check_no_bytes(table: Path) -> None:
    """Raise ValueError for a Parquet file that holds the videos themselves, which may be larger than the memory."""
    _, first = read_head(table, f"{COLUMN}.bytes")
    if first and isinstance(first.get(COLUMN), dict) and first[COLUMN].get("bytes") is not None:
        raise ValueError(f"{table} holds the videos themselves, in the column {COLUMN!r}: {_AS_FILES}")


def with_path(where: str, row: Mapping[str, Any], known: Sequence[str]) -> Mapping[str, Any]:
    """A row with its video's path as `path`, unless it has one of the `known` columns of paths."""
    video = row.get(COLUMN)
    if video is None or any(name in row for name in known):
        return row
    if isinstance(video, dict) and video.get("bytes") is not None:
        raise ValueError(f"{where}: holds the video itself, in the column {COLUMN!r}: {_AS_FILES}")
    return {**row, "path": video.get("path") if isinstance(video, dict) else video}
