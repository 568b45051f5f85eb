"""Something-Something v2: JSON lists, and `ID.webm` in one folder.

`labels.json` has the classes. `train.json` and `validation.json` have an id and a template for each clip; without the
brackets around its placeholders, "Putting [something] on [something]", the template is the class. `test.json` has ids
alone; their classes were published later, in `test-answers.csv`. The first release puts "something-something-v2-"
before these names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossframe.data.importers.imported import Imported, Listed, assemble, read_lines, read_lists
from crossframe.text.reading import read_text

PREFIX = "(.+-)?"  # "something-something-v2-", or nothing


def import_something(root: Path, annotations: Path | None = None) -> Imported:
    """The clips of all lists that are there."""
    videos, lists = read_lists(root, annotations)
    labels = _read_json(lists.list_named(PREFIX + r"labels\.json", "labels.json"), dict)
    listed: list[Listed] = []
    notes: list[str] = []
    for file, split in (("train.json", "train"), ("validation.json", "val"), ("test-answers.csv", "test")):
        pattern = PREFIX + re.escape(file)
        if lists.lists_named(pattern):
            path = lists.list_named(pattern, file)
            listed += _read_answers(path) if split == "test" else _read_clips(path, split)
        else:
            notes.append(f"{file} is not there, and so there is no split '{split}'")
    unknown = next((clip for clip in listed if clip.label not in labels), None)
    if unknown:
        raise ValueError(f"clip {unknown.name} is of class {unknown.label!r}, which labels.json does not have")
    return assemble(listed, sorted(labels, key=lambda label: int(labels[label])), videos, notes=notes)


def _read_clips(path: Path, split: str) -> Iterator[Listed]:
    for entry in _read_json(path, list):
        try:
            template, name = str(entry["template"]), str(entry["id"])
        except (KeyError, TypeError):
            raise ValueError(f"{path}: {str(entry)[:80]} has no id or no template; get the file again") from None
        yield Listed(name, template.replace("[", "").replace("]", ""), split)


def _read_answers(path: Path) -> Iterator[Listed]:
    for number, line in read_lines(path):
        name, found, label = line.partition(";")
        if not found:
            raise ValueError(f"{path}, line {number}: {line!r} is not an id and a class with ';' between them")
        yield Listed(name.strip(), label.strip(), "test")


def _read_json(path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    text = read_text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); get the file again") from error
    if not isinstance(content, kind):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}; get the file again")
    return content
