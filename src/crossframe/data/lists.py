"""Lists of clips as tables, with the names of their columns in the first line, and as paths with class numbers.

Tables are CSV, TSV or semicolons, Parquet, JSON or JSON lines. Class numbers are counted from 0 and need the labels;
from 1 where none is 0 and the names of folders say so.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from io import StringIO
from pathlib import Path, PurePath
from typing import Any

from crossframe.data.clip import SEVERAL, Clip
from crossframe.data.hugging_face import check_no_bytes, class_names, with_path
from crossframe.data.parquet import read_rows
from crossframe.text.labels import humanize
from crossframe.text.reading import read_text, read_values

log = logging.getLogger(__name__)

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TEXT = (".csv", ".tsv", ".txt")
JSON_LINES = (".jsonl", ".ndjson")
PATHS = ("path", "file_name", "filename", "video_file_name")  # Hugging Face and MMAction2 call it so
LABELS = ("label", "caption")
OPTIONAL = ("split", "group")
MISSING = ("nan", "null")  # in these columns; elsewhere they may be names, or a time that nobody knows
HEADS = {
    *PATHS,
    *LABELS,
    "file",
    "video",
    "video_path",
    "name",
    "class",
    "index",
    "class_id",
    "class_index",
    "label_id",
}
NAMES_WANTED = "give the file with their names (id,name) as labels: --labels, or --annotations of data import txt"
_REST = "\n"  # the key of fields without a column, and no name of a column
_NUMBERED = {  # a path, which may hold spaces, and a class number
    "comma": re.compile(r"(?P<path>.+?)\s*,\s*(?P<index>\d+)"),
    "space": re.compile(r"(?P<path>.+?)\s+(?P<index>\d+)"),
}


def split_named(name: str) -> str:
    """The canonical name of a split: train, val or test for their synonyms, any other name as it is.

    >>> split_named("validate"), split_named("Train"), split_named("unseen")
    ('val', 'train', 'unseen')
    """
    return SPLITS.get(name.strip().lower(), name.strip())


def split_of_file(path: PurePath) -> str:
    """The split that a file's name speaks of, and no other; its whole name where that is one word, or "".

    >>> split_of_file(PurePath("hmdb_train1_few_shot_2.txt")), split_of_file(PurePath("k400-validate-000001.tar"))
    ('train', 'val')
    """
    words = [word.removesuffix("list") for word in re.split(r"[^a-z]+", path.stem.lower())]  # UCF's trainlist01.txt
    found = {SPLITS[word] for word in words if word in SPLITS}
    if len(found) == 1:
        return found.pop()
    return split_named(path.stem) if re.fullmatch(r"[^\W\d_]+", path.stem) and path.suffix == ".txt" else ""


def read_table(source: Path, labels: Sequence[str] | None) -> list[Clip]:
    """The clips of a list in one file. Raises ValueError, in one line, where it is no such list."""
    suffix = source.suffix.lower()
    if suffix in TEXT:
        rows = _text_rows(source)
        if rows is None:
            return _numbered(source, labels)
    else:
        rows = _parquet_rows(source) if suffix == ".parquet" else _json_rows(source)
    clips = _split_by_name(source, [(where, _clip(where, row)) for where, row in rows])
    if not clips:
        raise ValueError(f"{source} lists no clips; write one on each row")
    numbered = [all(label.isdecimal() for label in clip.labels) for _, clip in clips]
    if labels is None and any(numbered):
        labels, first = class_names(source), 0
        if labels is None and all(numbered):
            raise ValueError(f"{source} has class indices, not labels; {NAMES_WANTED}")
    else:
        first = _first_number(source, [clip for _, clip in clips], labels)
    return [replace(clip, label=class_named(where, clip.label, labels, first)) for where, clip in clips]


def _split_by_name(source: Path, clips: list[tuple[str, Clip]]) -> list[tuple[str, Clip]]:
    """The clips of JSON with class numbers, as MMAction2's, in the split of its name as those of its .txt."""
    bare = all(not clip.split and all(one.isdecimal() for one in clip.labels) for _, clip in clips)
    split = split_of_file(source) if source.suffix.lower() == ".json" and bare else ""
    return [(where, replace(clip, split=split)) for where, clip in clips] if split else clips


def read_places(source: Path) -> list[Clip]:
    """The clips of a list whose labels do not matter, and need not be there.

    It may also be a text file with a path on each line. Raises ValueError, in one line, where it is no such list.
    """
    suffix = source.suffix.lower()
    if suffix in TEXT:
        lines = _lines(source)
        delimiter = _delimiter(lines, PATHS)
        if delimiter is None:
            return _paths(source, lines)
        rows = _rows(source, delimiter, lines[0][0] - 1)
    else:
        rows = _parquet_rows(source) if suffix == ".parquet" else _json_rows(source)
    return _not_empty(source, [_clip(where, {**row, LABELS[0]: "-"}) for where, row in rows])


def _not_empty(source: Path, clips: list[Clip]) -> list[Clip]:
    if not clips:
        raise ValueError(f"{source} lists no clips; write one on each row")
    return clips


def _parquet_rows(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    check_no_bytes(source)
    return ((f"{source}, row {number}", row) for number, row in enumerate(read_rows(source)))


def _paths(source: Path, lines: Sequence[tuple[int, str]]) -> list[Clip]:
    """A path on each line, with a class number behind it or not."""
    numbering = _numbering(lines)
    rows = [line for _, line in lines[_heading(lines) :]]
    if numbering:
        found = [_NUMBERED[numbering].fullmatch(line) for line in rows]
        rows = [one["path"] for one in found if one]
    return _not_empty(source, [Clip(line, "-") for line in rows])


def is_list(source: Path) -> bool:
    """True if a text file is a list of clips, rather than one of labels."""
    if source.suffix.lower() not in TEXT:
        return False
    lines = _lines(source)
    return _delimiter(lines) is not None or _numbering(lines) is not None


def class_named(where: str, given: str, labels: Sequence[str] | None, first: int = 0) -> str:
    """The label that a list gives by name, or by its number among `labels`, from `first`; several stay several."""
    if SEVERAL in given:
        return SEVERAL.join(class_named(where, part.strip(), labels, first) for part in given.split(SEVERAL))
    if labels is None or not given.isdecimal() or given in labels:
        return given
    if int(given) - first not in range(len(labels)):
        raise ValueError(f"{where}: class {given} is unknown; labels go from {first} to {len(labels) - 1 + first}")
    return labels[int(given) - first]


def _first_number(source: Path, clips: Sequence[Clip], labels: Sequence[str] | None) -> int:
    """The number of the first label: 0, unless no clip has it and folders with names of classes say that it is 1."""
    places = {_reading(label): place for place, label in enumerate(labels or ())}
    given = [(clip, int(one)) for clip in clips for one in clip.labels if one.isdecimal() and one not in (labels or ())]
    numbers = {number for _, number in given}
    if labels is None or not numbers or 0 in numbers:
        return 0
    fits = {0, 1}
    for clip, number in given:
        folders = clip.path.replace("\\", "/").split("/")[:-1]
        if found := {number - places[name] for name in map(_reading, folders) if name in places}:
            fits &= found
    if fits == {0, 1} and min(numbers) == 1 and max(numbers) < len(labels):
        warn_once(
            f"{source}: no clip has class number 0, and 1 is taken for {labels[1]!r}, the second label; where it means "
            f"{labels[0]!r}, give the names instead of the numbers, below a header path,label"
        )
    return 1 if fits == {1} else 0


@lru_cache(4096)
def _reading(name: str) -> str:
    return humanize(name.replace("-", " ")).casefold()


@cache
def warn_once(line: str) -> None:
    """Log a warning for the first time; a command reads its list several times."""
    log.warning("%s", line)


def _lines(source: Path) -> list[tuple[int, str]]:
    return named_lines(read_text(source))


def named_lines(text: str) -> list[tuple[int, str]]:
    """The lines with something in them, and their numbers; comments aside, but videos may be called #1.avi."""
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(n, line) for n, line in lines if line and (line[0] != "#" or re.match(r"#.*\.\w{2,5}[\s,;]", line))]


def _delimiter(lines: Sequence[tuple[int, str]], needed: Sequence[str] = LABELS) -> str | None:
    """The separator between the columns of a table, as the names in its first line show: of a path, and of `needed`."""
    for delimiter in ",;\t":
        header, row = _first_rows(lines, delimiter)
        names = {name.strip().strip('"').lower() for name in header}
        if {*PATHS} & names and {*needed} & names and (not row or len(row) > 1 or delimiter in row[0]):
            return delimiter
    return None


def _first_rows(lines: Sequence[tuple[int, str]], delimiter: str) -> tuple[list[str], list[str]]:
    """The first two rows, of which each may be of several lines; mistakes in them are told when they are read."""
    reader = csv.reader((f"{line}\n" for _, line in lines), delimiter=delimiter)
    header, row = list[str](), list[str]()
    with suppress(csv.Error):
        header = next(reader, header)
        row = next(reader, row)
    return header, row


def _text_rows(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]] | None:
    """The rows of a table; None for a list of paths with class numbers."""
    lines = _lines(source)
    delimiter = _delimiter(lines)
    if delimiter is None and (source.suffix.lower() == ".txt" or _numbering(lines) is not None):
        return None
    if delimiter is None and lines:
        raise ValueError(
            f"{source}: the first line must be the names of the columns with commas between them, path,label at "
            f"least; it is {lines[0][1]!r}"
        )
    return _rows(source, delimiter or ",", lines[0][0] - 1 if lines else 0)


def _rows(source: Path, delimiter: str, above: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows below the header, which has `above` lines of comments before it."""
    text = "\n".join(read_text(source).split("\n")[above:])
    reader = csv.DictReader(StringIO(text), strict=True, restkey=_REST, delimiter=delimiter)
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        for row in reader:
            where = f"{source}, line {above + reader.line_num}"
            if _REST in row:
                raise ValueError(f"{where}: has too many fields; put quotes around what contains a comma")
            if any(row.values()):  # spreadsheets end with rows of commas
                yield where, row
    except csv.Error as error:
        raise ValueError(f"{source}: {error}; check the quotes") from error


def _json_rows(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if source.suffix.lower() in JSON_LINES:
        for number, line in _lines(source):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{source}, line {number}: is not JSON: {error}") from error
            yield f"{source}, line {number}", _record(f"{source}, line {number}", row)
        return
    rows = read_values(source)
    if isinstance(rows, dict) and {*PATHS, "video"} & {*rows} and {*LABELS} & {*rows}:
        rows = [rows]  # the only one of JSON lines
    if not isinstance(rows, list):
        raise ValueError(f'{source} holds no list of clips; write [{{"path": "a.mp4", "label": "jump"}}]')
    for number, row in enumerate(rows, start=1):
        yield f"{source}, entry {number}", _record(f"{source}, entry {number}", row)


def _record(where: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: is no table of a clip's path and label")
    record = {str(name).strip().lower(): value for name, value in row.items()}
    for name, value in record.items():
        if name in LABELS and isinstance(value, list):  # as MMAction2 writes it
            labels = [_text(name, one) for one in value]
            if not all(labels) or not labels:
                raise ValueError(f"{where}: has no label, and a clip needs one; add it")
            record[name] = SEVERAL.join(labels)
    return record


def _clip(where: str, row: Mapping[str, Any]) -> Clip:
    """A row of a table; unknown columns are ignored."""
    row = with_path(where, row, PATHS)
    text = {name: _text(name, value) for name, value in row.items()}
    path, label = (next((name for name in names if name in text), names[0]) for names in (PATHS, LABELS))
    for name in (path, label):
        if not text.get(name):
            known = ", ".join(text)
            raise ValueError(f"{where}: has no {'label' if name == label else name}; the columns are {known}")
    try:
        start, end = (_seconds(name, text.get(name)) for name in ("start", "end"))
        split = split_named(text.get("split", ""))
        number = re.sub(r"^(\d+)\.0$", r"\1", text[label])  # pandas makes 0.0 of 0 where another row has none
        return Clip(text[path], number, split, start, end, text.get("group") or None)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _text(name: str, value: Any) -> str:
    """A cell as text, empty for what pandas calls missing; Parquet made of numpy's texts has bytes."""
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    text = (value.decode("utf-8") if isinstance(value, bytes) else str(value)).strip()
    return "" if name in OPTIONAL and text.lower() in MISSING else text


def _seconds(name: str, given: str | None) -> float | None:
    try:
        return float(given) if given else None
    except ValueError:
        raise ValueError(f"{name} is {given!r}; write seconds, such as 83.5") from None


def _numbering(lines: Sequence[tuple[int, str]]) -> str | None:
    """How paths and class numbers are divided: by "comma" or "space"; None where a line has no number."""
    rows = lines[_heading(lines) :]
    return next((name for name, form in _NUMBERED.items() if rows and all(form.fullmatch(r) for _, r in rows)), None)


def _heading(lines: Sequence[tuple[int, str]]) -> int:
    """How many lines are names of columns: 1 or 0."""
    return int(bool(lines) and set(re.split(r"[\s,]+", lines[0][1].lower())) <= HEADS)


def _numbered(source: Path, labels: Sequence[str] | None) -> list[Clip]:
    """The clips of a list of paths and class numbers, as for X-CLIP, ViFi-CLIP, TC-CLIP, SlowFast and MMAction2."""
    lines = _lines(source)
    if not lines:
        raise ValueError(f"{source} lists no clips; write one on each line")
    if "{'bytes':" in lines[-1][1]:
        raise ValueError(f"{source} has videos as datasets' to_csv writes them; use its to_json or to_parquet")
    if labels is None and _numbering(lines):
        raise ValueError(f"{source} has class indices, not labels; {NAMES_WANTED}")
    form = _NUMBERED[_numbering(lines) or "space"]
    split = split_of_file(source)
    clips: list[tuple[str, Clip]] = []
    for number, line in lines[_heading(lines) :]:
        found = form.fullmatch(line)
        if not found:
            raise ValueError(
                f"{source}, line {number}: {line!r} is not a path and a class index; write both on each line, or names "
                f"below a header path,label"
            )
        path = re.sub(r'^"(.*)"$', r"\1", found["path"])
        if re.search(r"[\s,]\d+$", path):
            raise ValueError(
                f"{source}, line {number}: {line!r} has several numbers, as lists of frame folders and of several "
                f"classes have; give videos with one class each"
            )
        clips.append((f"{source}, line {number}", Clip(path, found["index"], split)))
    first = _first_number(source, [clip for _, clip in clips], labels)
    return [replace(clip, label=class_named(where, clip.label, labels, first)) for where, clip in clips]
