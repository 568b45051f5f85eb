"""Files of labels, in the forms in which people have them; what could be read in two ways is refused.

| form | example |
|---|---|
| lines | `arm wrestling` |
| numbered lines, from 0 or 1 | `0 arm wrestling`, `1: arm wrestling`, `2. arm wrestling` |
| CSV, TSV or semicolons, with a header or numbered | `id,name` and `0,arm wrestling`; a column `label` |
| JSON or YAML: a list, or names by number | `["arm wrestling"]`, `{"0": "arm wrestling"}`, also as `id2label` |
| JSON or YAML: numbers by name | `{"arm wrestling": 0}` |
| JSON or YAML: sentences by name | `{"arm wrestling": ["two people ..."]}` |
| JSON or YAML: groups (`read_label_set`) | `{"groups": {"sport": {"labels": ["golf"]}}}` |
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast

from crossframe.text.labels import Group, LabelSet, background_texts, escaped, normalized, some
from crossframe.text.reading import YAML, read_lines, read_text, read_values

TABLES = (".csv", ".tsv")
DELIMITERS = ",;\t"
NAMES = ("label", "name", "class", "class_name")  # of the column of labels; the first that holds words counts
IDS = ("id", "index", "class_id", "label_id", "")  # pandas gives its index no name
WRAPPERS = ("id2label", "label2id", "labels", "names", "classes", "class_names", "categories")

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "seen", "unseen", "base", "novel"}
BINARY = (".parquet", ".arrow", ".npy", ".npz", ".pkl", ".pickle", ".xlsx", ".xls", ".ods", ".mat", ".h5")

_NUMBERED = re.compile(r"[(\[]?(?P<id>\d+)(?P<mark>\s*[])]\s*|\s*[:.;,=|]\s*|\s+[-\u2013]\s+|\s+)(?P<label>\S.*)")
_CODED = re.compile(r"[A-Za-z]{1,2}(?P<id>\d+)[\s:.,;=|-]+\S.*")
_CLIP = re.compile(r".*\.\w{2,5}(\s+|\s*,\s*)\d+")
_CODE = re.compile(
    r"""[\[\]{}()]+,?|.*,|["'].*["']\s*[,:].*|.*["']\s*:\s*["'\d].*|-\s.*|<.*>|//.*|.*\{\}.*|\w+\s*=\s*[\[({].*"""
)

GROUPS = ("groups", "background")  # the keys of a file with groups, and those of a group
GROUP = ("labels", "scores", "threshold", "thresholds")

Entry = tuple[str, str]  # where a label stands, and the label


def read_labels(path: str | Path) -> list[str]:
    """Read a file of labels; a label's place is the class index. The forms are those in the table above.

    The text is UTF-8, with or without a byte order mark; empty lines and lines that begin with `#` are no labels. Ids
    count from 0 or from 1 without a gap.

    Raises:
        ValueError: the file cannot be read, a label is empty or repeats an earlier one, ids do not count up, or the
            file could mean several things. The message names the file and the place.
    """
    path = Path(path)
    if path.suffix.lower() in BINARY and path.is_file():
        raise ValueError(f"{path} is no text; save its column of labels as .txt, one a line")
    text = read_text(path).strip()
    whole = text[:1] + text[-1:] in ("[]", "{}")
    if whole or path.suffix.lower() in (".json", *YAML):
        values = read_values(path)
        if _has_groups(values):
            return list(_grouped(path, values).labels)
        return _checked(path, _of_values(path, values))
    lines = read_lines(path)
    if not lines:
        raise ValueError(f"{path} holds no labels: write one a line")
    if lines[0][1].lower().startswith(("<!doctype", "<html", "version https://git-lfs")):
        raise ValueError(f"{path} is a web page or a pointer to a file, not the file itself; get it again")
    if _CLIP.fullmatch(lines[0][1]):
        raise ValueError(f"{path} lists clips and the numbers of their classes; give the file of the classes' names")
    return _checked(path, _of_table(path, lines) or _of_rows(lines) or _of_numbered(path, lines) or _plain(path, lines))


def read_label_set(path: str | Path) -> LabelSet:
    """Read a file of labels with what makes their scores mean something; any other file of labels is one group.

    `groups` has the groups by name. A group has `labels`, a list, or sentences by name that stand for a label (none for
    the label itself); `scores`, "softmax" where one of them is true, which is the default, or "independent" where
    several may be; a `threshold` for all of them; and `thresholds` of single ones by name. `background` is "generic",
    or words for what is none of them.

    Raises ValueError, in one line, as `read_labels`, and for what `LabelSet` refuses.
    """
    path = Path(path)
    if path.suffix.lower() in (".json", *YAML) and _has_groups(values := read_values(path)):
        return _grouped(path, values)
    return LabelSet.of(read_labels(path))


def _has_groups(values: Any) -> bool:
    return isinstance(values, dict) and isinstance(cast("dict[str, Any]", values).get("groups"), dict)


def _grouped(path: Path, values: dict[str, Any]) -> LabelSet:
    _check_keys(path, values, GROUPS)
    groups: list[Group] = []
    wordings: dict[str, tuple[str, ...]] = {}
    thresholds: dict[str, float] = {}
    for name, given in values["groups"].items():
        where = f"{path}, group {name!r}"
        if not isinstance(given, dict) or not isinstance(given.get("labels"), (list, dict)) or not given["labels"]:
            raise ValueError(f"{where}: has no labels: write labels: [...] below it")
        _check_keys(where, given, GROUP)
        kind = given.get("scores", "softmax")
        if kind not in ("softmax", "independent"):
            raise ValueError(f"{where}: scores is {kind!r}: write softmax, where one is true, or independent")
        said = given["labels"] if isinstance(given["labels"], dict) else dict.fromkeys(given["labels"])
        for label, sentences in said.items():
            if sentences:
                wordings[label] = _sentences(f"{where}, label {label!r}", sentences)
        groups.append(Group(name, tuple(said), kind == "independent"))
        if "threshold" in given:
            thresholds |= dict.fromkeys(said, _number(where, given["threshold"]))
        own = given.get("thresholds", {})
        if unknown := next((label for label in own if label not in said), None):
            raise ValueError(f"{where}: {unknown!r} has a threshold and is not among its labels: add it, or correct it")
        thresholds |= {label: _number(where, value) for label, value in own.items()}
    try:
        return LabelSet(tuple(groups), wordings, thresholds, background_texts(values.get("background") or ()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_keys(where: object, values: dict[str, Any], known: Sequence[str]) -> None:
    if unknown := next((key for key in values if key not in known), None):
        raise ValueError(f"{where}: {unknown!r} is unknown: it may have {', '.join(known)}")


def _sentences(where: str, given: Any) -> tuple[str, ...]:
    sentences = [given] if isinstance(given, str) else given
    if not isinstance(sentences, list) or not all(isinstance(one, str) and one.strip() for one in sentences):
        raise ValueError(f"{where}: {given!r} are no sentences: write one, or a list")
    return tuple(sentences)


def _number(where: str, given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: the threshold {given!r} is no number: give one from 0 to 1") from None


def _checked(path: Path, entries: Iterable[Entry]) -> list[str]:
    seen: dict[str, str] = {}  # what the model reads, and where
    names: list[str] = []
    entries = [(where, label.strip()) for where, label in entries]
    if all(len(label) > 2 and label[0] == label[-1] in "\"'" for _, label in entries):
        entries = [(where, label[1:-1].strip()) for where, label in entries]
    for where, name in entries:
        key = normalized(name)
        if escaped(name) != name or re.fullmatch(r"LABEL_\d+", name):
            raise ValueError(f"{path}, {where}: {escaped(name)!r} is no label that says anything: give the real ones")
        if not key:
            raise ValueError(f"{path}, {where}: the label is empty: remove the line or fill it in")
        if key in seen:
            raise ValueError(f"{path}, {where}: {name!r} repeats the label of {seen[key]}: remove one")
        seen[key] = where
        names.append(name)
    if not names:
        raise ValueError(f"{path} holds no labels: write one a line")
    return names


def _counts_up(ids: Sequence[str]) -> bool:
    """True if ids are 0, 1, 2 ... or 1, 2, 3 ..."""
    return all(one.isdecimal() for one in ids) and [int(one) for one in ids] in (
        list(range(len(ids))),
        list(range(1, len(ids) + 1)),
    )


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]


def _of_table(path: Path, lines: list[tuple[int, str]]) -> list[Entry]:
    """The labels below a header; none where the first line is no header."""
    for delimiter in DELIMITERS:
        try:
            header = [cell.lower() for cell in _cells(lines[0][1], delimiter)]
        except csv.Error:
            continue
        known = [name for name in NAMES if name in header]
        numbered = [name for name in header if name in IDS and name]
        # a plain list may well begin with the label "name"
        if known and (len(header) > 1 or known == ["label"] or path.suffix.lower() in TABLES):
            if "label" not in known and not numbered and path.suffix.lower() not in TABLES:
                continue
            return _columns(path, lines, delimiter, header)
    return []


def _columns(path: Path, lines: list[tuple[int, str]], delimiter: str, header: list[str]) -> list[Entry]:
    rows: list[tuple[int, dict[str, str]]] = []
    for number, line in lines[1:]:
        try:
            cells = _cells(line, delimiter)
        except csv.Error as error:
            raise ValueError(f"{path}, line {number}: {error}: check the quotes") from error
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} fields under a header of {len(header)}: "
                f"put quotes around a label that contains a comma"
            )
        if any(cells):  # spreadsheets end with rows of commas
            rows.append((number, dict(zip(header, cells, strict=True))))
    if not rows:
        raise ValueError(f"{path} holds no labels: write one a line")
    names = [name for name in NAMES if name in header]
    words = [name for name in names if not all(row[name].isdecimal() for _, row in rows)]
    if not words:
        raise ValueError(
            f"{path}: the column {names[0]!r} holds numbers alone; give a file with the names of the classes"
        )
    column = words[0]
    ids = [name for name in (*IDS, *names) if name in header and name != column]
    if ids and (len(header) == 2 or column != "label"):
        start = 1 if rows[0][1][ids[0]] == "1" else 0
        for expected, (number, row) in enumerate(rows, start=start):
            if row[ids[0]] != str(expected):
                raise ValueError(
                    f"{path}, line {number}: the id is {row[ids[0]]!r} where {expected} is expected: "
                    f"sort the rows by id, counting from 0 or 1"
                )
    return [(f"line {number}", row[column]) for number, row in rows]


def _of_rows(lines: list[tuple[int, str]]) -> list[Entry]:
    """The labels of rows without a header, of which one cell counts up; none where that is not so."""
    for delimiter in DELIMITERS:
        try:
            rows = [_cells(line, delimiter) for _, line in lines]
        except csv.Error:
            continue
        if all(len(cells) == 2 for cells in rows):
            for ids, names in ((0, 1), (1, 0)):
                if _counts_up([cells[ids] for cells in rows]):
                    return [(f"line {n}", cells[names]) for (n, _), cells in zip(lines, rows, strict=True)]
    return []


def _of_numbered(path: Path, lines: list[tuple[int, str]]) -> list[Entry]:
    """The labels of lines that are numbered from 0 or 1; none where they are not."""
    found = [_NUMBERED.fullmatch(line) for _, line in lines]
    if not all(found):
        places = [n for n, one in enumerate(found) if one and int(one["id"]) in (n, n + 1)]
        if len(places) > 1 and 2 * len(places) > len(lines):
            first = next(number for (number, _), one in zip(lines, found, strict=True) if not one)
            raise ValueError(f"{path}, line {first}: has no number, and other lines are numbered; number all or none")
        return []
    entries = [(one["id"], one["mark"].strip(), one["label"]) for one in found if one]
    if all(label.isdecimal() for _, _, label in entries):
        raise ValueError(f"{path} holds numbers alone; give a file with the names of the classes")
    if not _counts_up([one for one, _, _ in entries]) or (len(entries) == 1 and not entries[0][1]):
        raise ValueError(
            f"{path}: every line begins with a number, and they do not count up from 0 or 1: remove the numbers, or "
            f"give columns id,name"
        )
    return [(f"line {number}", label) for (number, _), (_, _, label) in zip(lines, entries, strict=True)]


def _plain(path: Path, lines: list[tuple[int, str]]) -> list[Entry]:
    if path.suffix.lower() in TABLES:
        raise ValueError(
            f"{path}: the first line must be a header with `label` or `id,name`, not {lines[0][1]!r}: "
            f"add one, or rename a plain list to .txt"
        )
    if len(lines) == 1 and re.search(r"[,;|\t]", lines[0][1]):
        raise ValueError(f"{path} is one line that could be one label or several; write one a line")
    coded = [_CODED.fullmatch(line) for _, line in lines]
    if len(lines) > 1 and _counts_up([one["id"] if one else "" for one in coded]):
        raise ValueError(f"{path}: every line begins with a code, as {lines[0][1]!r}; remove the codes")
    last = [line.rpartition(" ")[2] for _, line in lines]
    if len(lines) > 1 and _counts_up(last):
        raise ValueError(f"{path}: the lines end with numbers that count up; remove them, or give columns id,name")
    for number, line in lines:
        if _CODE.fullmatch(line) or "\t" in line:
            raise ValueError(
                f"{path}, line {number}: {line!r} looks like a part of JSON, YAML, code or a table; save the whole as "
                f".json, .yaml or .tsv, or write one label a line"
            )
    return [(f"line {number}", line) for number, line in lines]


def _of_values(path: Path, value: Any) -> list[Entry]:
    """The labels of what a JSON or YAML file holds."""
    if isinstance(value, dict):
        if any(isinstance(item, dict) and {"annotations", "database"} & {key, *item} for key, item in value.items()):
            raise ValueError(f"{path}: says what clips show, as ActivityNet does; it is a list of clips, not of labels")
        wrapped = next((value[key] for key in WRAPPERS if isinstance(value.get(key), dict | list)), None)
        if isinstance(wrapped, list) and len(value) > 1 and all(isinstance(item, list) for item in value.values()):
            raise ValueError(f"{path}: holds {len(value)} lists, of which any could be the labels; save one by itself")
        return _of_mapping(path, value) if wrapped is None else _of_values(path, wrapped)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [(f"entry {place}", item) for place, item in enumerate(value, start=1)]
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        shared = set[str]().union(*value).intersection(*value)
        for number, name in product(IDS, NAMES):
            if {number, name} <= shared:
                return _by_number(path, [(str(item[number]), item[name]) for item in value])
    raise ValueError(f'{path}: holds neither a list of labels nor a table of them: write ["jump", "run"]')


def _of_mapping(path: Path, table: dict[str, Any]) -> list[Entry]:
    numbers = [key.isdecimal() for key in table]
    counts = [not isinstance(value, bool) and str(value).isdecimal() for value in table.values()]
    if table and all(numbers) and not any(counts) and all(isinstance(value, str) for value in table.values()):
        return _by_number(path, list(table.items()))
    if table and all(counts) and not any(numbers):
        return _by_number(path, [(str(value), key) for key, value in table.items()])
    said = [isinstance(v, str) or (isinstance(v, list) and all(isinstance(s, str) for s in v)) for v in table.values()]
    if len(table) == 1 or {key.lower() for key in table} <= SPLITS:
        raise ValueError(f'{path}: {some(table)} could be labels or names of lists; save one list, ["jump", "run"]')
    if table and all(said) and not any(numbers) and not any(counts):
        return [(f"entry {place}", key) for place, key in enumerate(table, start=1)]
    raise ValueError(
        f"{path}: is neither names by number, nor numbers by name, nor sentences by name: write "
        f'{{"0": "jump", "1": "run"}} or ["jump", "run"]'
    )


def _by_number(path: Path, pairs: list[tuple[str, Any]]) -> list[Entry]:
    """Labels in the order of their numbers; those with quotes of their own, as in Kinetics' class names, lose them."""
    if not all(number.isdecimal() and isinstance(label, str) for number, label in pairs):
        raise ValueError(f"{path}: an id is no number, or a label is no text: give ids 0, 1, 2 ... and names")
    pairs = sorted(pairs, key=lambda pair: int(pair[0]))
    if not _counts_up([number for number, _ in pairs]):
        raise ValueError(f"{path}: the ids do not count up from 0 or 1 without a gap; correct them")
    return [(f"id {number}", re.sub(r'^"(.*)"$', r"\1", label.strip())) for number, label in pairs]
