"""Labels: reading label files, checking candidate labels, and splitting "CamelCase" into words.

No label is changed unless asked: papers treat labels differently, and that changes results.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from crossframe.text.reading import read_text

SHOWN = 3


def humanize(label: str) -> str:
    """Split CamelCase and underscores into words: "ApplyEyeMakeup" and "apply_eye_makeup" become "apply eye makeup".

    Words come out in lower case, except acronyms ("TVShow" -> "TV show"). Digits stay with the letters before them
    ("100mHurdles" -> "100m hurdles"): the tokenizer separates them anyway.
    """
    words = [word for part in label.replace("_", " ").split() for word in _camel_words(part)]
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def check_labels(labels: Sequence[str]) -> list[str]:
    """Return the labels as a list, or explain why they cannot be told apart.

    Raises:
        ValueError: no labels, an empty one, one that is no str, or two that read the same to the model.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels is the single text {labels!r}: give a list of labels")
    labels = list(labels or ())
    if not labels:
        raise ValueError("there are no labels: give at least one thing the video may show")
    seen: dict[str, int] = {}
    for position, label in enumerate(labels, start=1):
        if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"label {position} is {label!r}, of type {type(label).__name__}: labels must be str")
        key = normalized(label)
        if not key:
            raise ValueError(f"label {position} of {len(labels)} is empty: remove it or fill it in")
        if key in seen:
            first = labels[seen[key] - 1]
            raise ValueError(
                f"labels {seen[key]} and {position} read the same, {first!r} and {label!r}: remove one of them"
            )
        seen[key] = position
    return labels


def read_labels(path: str | Path) -> list[str]:
    """Read a file of labels, in the order of its rows; the row is the class index.

    The file is UTF-8, with or without a byte order mark, and either plain text with one label a line, or CSV whose
    header has a column `label`, or `id,name` as in the X-CLIP authors' files, with ids counting from 0.

    Raises:
        ValueError: the file cannot be read, or a line is empty, repeats an earlier label, or does not fit its header.
            The message names the file and the line.
    """
    path = Path(path)
    text = read_text(path).rstrip()
    lines = text.split("\n") if text else []
    header = [cell.strip().lower() for cell in next(csv.reader(lines[:1]), [])]
    column = _label_column(header)
    if column is None and path.suffix.lower() == ".csv":
        raise ValueError(
            f"{path}: the first line must be a header with `label` or `id,name`, not {','.join(header)!r}: "
            f"add one, or rename a plain list to .txt"
        )
    rows = enumerate(lines, start=1) if column is None else _table_rows(path, lines, header, column)

    labels: dict[str, int] = {}  # what the model reads -> line
    names: list[str] = []
    for line, text in rows:
        name, key = text.strip(), normalized(text)
        if not key:
            raise ValueError(f"{path}, line {line}: the label is empty: remove the line or fill it in")
        if key in labels:
            raise ValueError(f"{path}, line {line}: {name!r} repeats the label of line {labels[key]}: remove one")
        labels[key] = line
        names.append(name)
    if not names:
        raise ValueError(f"{path} holds no labels: write one a line")
    return names


def _label_column(header: Sequence[str]) -> str | None:
    """The column that holds labels, or None for a plain list, which may well begin with the label "name"."""
    if "label" in header:
        return "label"
    return "name" if {"id", "name"} <= set(header) else None


def _table_rows(path: Path, lines: list[str], header: list[str], column: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, label) for every row below the header."""
    for index, line in enumerate(lines[1:]):
        number = index + 2  # lines count from 1, and the first is the header
        try:
            cells = next(csv.reader([line], strict=True), [""])
        except csv.Error as error:
            raise ValueError(f"{path}, line {number}: {error}: check the quotes") from error
        if not line.strip():
            yield number, ""
            continue
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} fields under a header of {len(header)}: "
                f"put quotes around a label that contains a comma"
            )
        row = dict(zip(header, cells, strict=True))
        if column == "name" and row["id"].strip() != str(index):
            raise ValueError(
                f"{path}, line {number}: the id is {row['id']!r} where {index} is expected: "
                f"sort the rows by id, counting from 0"
            )
        yield number, row[column]


def _camel_words(text: str) -> Iterator[str]:
    start = 0
    for index in range(1, len(text)):
        if _starts_word(text, index):
            yield text[start:index]
            start = index
    yield text[start:]


def _starts_word(text: str, index: int) -> bool:
    """A capital starts a word after a small letter or a digit, or as the last capital of a run before small letters."""
    if not text[index].isupper():
        return False
    before, after = text[index - 1], text[index + 1 : index + 3]
    # Two small letters, so that the plural of an acronym ("DJs") stays whole.
    return before.islower() or before.isdigit() or (before.isupper() and len(after) == 2 and after.islower())


@lru_cache(maxsize=1 << 14)  # the same labels are checked again with every video
def normalized(label: str) -> str:
    """A label as the model reads it: the model cannot tell labels apart that are equal here."""
    from crossframe.text.bpe import clean  # takes a while to import

    return clean(label)
