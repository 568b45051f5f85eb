"""Writes the line where each definition begins that the table of changes in docs/architecture.md names: `name` (1).

.venv/bin/python scripts/code_lines.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
SOURCE = Path(__file__).parents[1] / "src" / "crossframe"
NAME = re.compile(r"`(?P<name>[\w.]+)` \(\d+\)")
FILE = re.compile(r"`([\w/]+\.py)`")


def with_lines(text: str) -> str:
    """The page with every line as it is today. Raises `LookupError` for a name that no file of its row defines."""
    return "".join(NAME.sub(_with_line, row) for row in text.splitlines(keepends=True))


def _with_line(found: re.Match[str]) -> str:
    """The name and its line in that file of the row which defines it, the one named nearest where several do."""
    name, row = found["name"], found.string
    for file in sorted(FILE.finditer(row), key=lambda file: abs(file.start() - found.start())):
        path = SOURCE / file[1]
        if path.is_file() and (line := _line(path.read_text(encoding="utf-8"), name)):
            return f"`{name}` ({line})"
    raise LookupError(f"docs/architecture.md names {name}, which no file of its row defines")


def _line(source: str, name: str) -> int | None:
    """Where a function, a class, a constant, or a member of a class ("Class.member") begins."""
    body, line = ast.parse(source).body, None
    for part in name.split("."):
        found = next((node for node in body if part in _names(node)), None)
        if found is None:
            return None
        line, body = found.lineno, getattr(found, "body", [])
    return line


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [target.id for target in node.targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


if __name__ == "__main__":
    PAGE.write_text(with_lines(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
