"""Text files as people write them: plain lines, JSON and YAML."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from tarfile import is_tarfile
from typing import Any, cast
from zipfile import is_zipfile

from crossframe.extras import install_command

YAML = (".yaml", ".yml")
DEEPEST = 8  # levels of lists and tables in a YAML file


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises ValueError, in one line, for any other."""
    try:
        text, place = path.read_text(encoding="utf-8-sig"), None
    except OSError as error:
        raise ValueError(f"cannot read {path} ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        text, place = "", error.start
    if (place is not None or "\0" in text) and (is_tarfile(path) or is_zipfile(path)):
        raise ValueError(f"{path} is an archive, not a text file; give the file that is meant, unpacked")
    if place is not None:
        raise ValueError(f"{path} is not UTF-8 text (byte {place}); save it as UTF-8")
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file without spaces around them, and their numbers.

    Lines that are empty or begin with `#` are left out: they are comments.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]


def read_values(path: Path) -> Any:
    """The lists, tables and values of a JSON file, or of a YAML file, whose values are all taken as text.

    A JSON file with a table on each line, as pandas and `datasets` write it, is the list of them.

    Raises ValueError, in one line, where the file is neither, or a table has one key twice.
    """
    text = read_text(path)
    if path.suffix.lower() in YAML:
        return yaml_values(path, text)
    try:
        return json.loads(text, object_pairs_hook=_table)
    except (ValueError, RecursionError) as error:
        if str(error).startswith("Extra data") and (tables := _on_lines(path, text)):
            return tables
        raise ValueError(f"{path} is not JSON: {error}") from error


def _on_lines(path: Path, text: str) -> list[dict[str, Any]]:
    """The tables of JSON lines; none where the first line is no table."""
    tables: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            table = json.loads(line, object_pairs_hook=_table) if line.strip() else None
        except (ValueError, RecursionError) as error:
            if not tables:
                return []
            raise ValueError(f"{path}, line {number}: is not JSON: {error}") from error
        if isinstance(table, dict):
            tables.append(cast("dict[str, Any]", table))
        elif line.strip():
            return []
    return tables


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if key in dict(pairs[:place]))
        raise ValueError(f"the key {twice!r} is there twice; remove one")
    return table


def yaml_values(path: Path, text: str) -> Any:
    """The lists, tables and texts of YAML that stands in the file `path`."""
    try:
        yaml = import_module("yaml")  # by name: no part of the core may depend on it
    except ImportError:
        raise ValueError(f"{path}: YAML needs pyyaml: {install_command('train')}; or save it as JSON") from None
    try:
        return _yaml_value(yaml.compose(text, Loader=yaml.SafeLoader), set(), 0)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _yaml_value(node: Any, seen: set[int], depth: int) -> Any:
    """Nodes rather than values are read: YAML would make `false` of the class `no`, and keep the last of two keys."""
    if node is None:
        return None
    if id(node) in seen or depth > DEEPEST:
        raise ValueError("it repeats parts of itself by aliases, or nests too deep; write it out")
    seen.add(id(node))
    if node.id == "sequence":
        return [_yaml_value(item, seen, depth + 1) for item in node.value]
    if node.id == "mapping":
        pairs = [(_yaml_value(k, seen, depth + 1), _yaml_value(v, seen, depth + 1)) for k, v in node.value]
        if not all(isinstance(key, str) for key, _ in pairs):
            raise ValueError("a key is no text; write plain names")
        return _table(pairs)
    return node.value
