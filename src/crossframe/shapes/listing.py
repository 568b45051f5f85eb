"""The list of a folder of drawn clips, which also marks the folder as one that may be written to."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from crossframe.files import replacing_list

Row = dict[str, str]


def take_up(path: Path, columns: tuple[str, ...], split: str, *written: str) -> list[Row]:
    """The rows of other splits in the list at `path`, where there is one; without one, a list without rows is begun.

    Raises ValueError where the list is of another data set, and where there is none but files that match one of the
    patterns `written`, relative to the folder, which would be written over.
    """
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise ValueError(f"{path} is the list of another data set; choose a new folder")
            rows = [row for row in reader if row["split"] != split]
    else:
        foreign = sorted(found for pattern in written for found in path.parent.glob(pattern))
        if foreign:
            raise ValueError(f"{foreign[0]} is there, and not from shapes render; choose another folder")
        rows = list[Row]()
    (path.parent / split).mkdir(parents=True, exist_ok=True)
    if not path.exists():  # so that work which is cut short can be done again
        write_rows(path, columns, rows)
    return rows


def write_rows(path: Path, columns: tuple[str, ...], rows: Iterable[Row]) -> Path:
    """Write the list, whole or not at all, and return its path; see `files.replacing_list` for one before it."""
    with replacing_list(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
