"""The outcome of every kind of torture: how much was tried, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

SHOWN = 3  # wrong ones, in the table


@dataclass(frozen=True, slots=True)
class Options:
    """`fast`: a small part of each kind, in a minute or two. `seed`: of all that is drawn. `folder`: an empty one."""

    fast: bool
    seed: int
    folder: Path

    def few(self, many: int, fast: int) -> int:
        """How many of something there are to be."""
        return fast if self.fast else many


@dataclass(slots=True)
class Row:
    """One line of the table: `tried` things, those that went `wrong`, one line each, and a `note` for the reader."""

    name: str
    tried: int = 0
    wrong: list[str] = field(default_factory=list)
    note: str = ""

    def check(self, right: bool, what: str) -> None:
        """Count one more, and note it where it is not `right`."""
        self.tried += 1
        if not right:
            self.wrong.append(what)


Part: TypeAlias = Callable[[Options], list[Row]]


def table(rows: list[Row]) -> str:
    """All rows, and the first that went wrong of each."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}}  {'tried':>7}  {'wrong':>5}"]
    for row in rows:
        lines.append(f"{row.name:<{width}}  {row.tried:>7,}  {len(row.wrong):>5}  {row.note}".rstrip())
        lines += [f"{'':<{width}}    {wrong}" for wrong in row.wrong[:SHOWN]]
    return "\n".join(lines)
