"""The tables of docs/performance.md, from the results that lie beside the code.

    python -m benchmarks.tables     # after python -m benchmarks --save

A comment in the page says what the table below it shows: `<!-- table: one_clip -->` the bars of a result,
`<!-- table: one_clip way, seconds -->` these columns of the rows that have the first of them, and
`<!-- table: runs -->` when, where and from which commit each result comes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from benchmarks.harness import RESULTS, ROOT

PAGE = ROOT / "docs" / "performance.md"
TABLE = re.compile(r"(?P<comment><!-- table: (?P<name>\w+) ?(?P<columns>.*?) -->\n)(?:\|.*\n)*")


def filled(page: str) -> str:
    """The page with every table written anew."""
    return TABLE.sub(lambda found: found["comment"] + _table(found["name"], found["columns"]), page)


def _table(name: str, columns: str) -> str:
    if name == "runs":
        return _runs()
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return "| not measured yet |\n|---|\n"
    result = json.loads(path.read_text(encoding="utf-8"))
    if not columns:
        words = {True: "met", False: "**missed**", None: "open"}
        sign = {True: "≤", False: "≥"}
        bars = result["bars"]
        rows = [[b["name"], b["value"], f"{sign[b['at_most']]} {_shown(b['bar'])}", words[b["met"]]] for b in bars]
        return _markdown(["bar", "figure", "asked", ""], rows)
    names = columns.split(", ")
    return _markdown(names, [[row.get(n) for n in names] for row in result["rows"] if names[0] in row])


def _runs() -> str:
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "environment" in result and "bars" in result:
            known = result["environment"]
            at = known["date"].replace("T", " ").removesuffix("+00:00")
            rows.append([path.stem, at, known["commit"], known["cpu"], known["cores"], known["packages"]["torch"]])
    return _markdown(["benchmark", "when (UTC)", "commit", "processor", "cores", "torch"], rows)


def _markdown(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([_shown(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n".replace("| --- ", "|---").replace("|  |", "| |") for line in lines)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
