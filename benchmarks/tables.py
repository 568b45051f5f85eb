"""What the docs quote: tables from saved results, the command lists of docs/results.md.

    python -m benchmarks.tables     # after a benchmark or a study with --save, or a change of crossframe.recipes.paper

A comment in a page says what stands below it, in docs/performance.md for instance:
`<!-- table: one_clip -->` the bars of a result,
`<!-- table: one_clip way, seconds -->` these columns of the rows that have the first of them, and
`<!-- table: runs -->` when, where and from which commit each result comes. In docs/results.md it is a block of
commands: `<!-- commands: words -->` trains every experiment of the paper's table of that name, and
`<!-- commands, with tests: Kinetics-400 -->` measures each too.

There and in EXPERIMENTS.md, `<!-- study: components / components / variant / test action = action -->` is a table of a
study of Shapes: the file in benchmarks/results, the table in it, the heading of the first column, and the columns, each
with its heading where that is another. Means and deviations are over seeds; the line above says in which version of the
world and at which commit they were measured. Columns of two files stand side by side: `ablations_full + ablations_few`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from benchmarks.harness import RESULTS, ROOT, mean_and_spread
from crossframe.recipes.paper import HEADLINE, experiments

PAGES = tuple(ROOT / "docs" / f"{name}.md" for name in ("performance", "explain", "timeline", "scale", "reliability"))
STUDY_PAGES = (ROOT / "docs" / "results.md", ROOT / "EXPERIMENTS.md")
STUDY = re.compile(r"(?P<comment><!-- study: (?P<asked>.*?) -->\n)(?:\*.*\*\n(?:\n(?:\|.*\n)+)?)?")
COMMANDS_PAGE = ROOT / "docs" / "results.md"
TABLE = re.compile(r"(?P<comment><!-- table: (?P<name>\w+) ?(?P<columns>.*?) -->\n)(?:\|.*\n)*")

COMMANDS = re.compile(
    r"(?P<comment><!-- commands(?P<tests>, with tests)?: (?P<tables>.*?) -->\n\n?)(?:```\n.*?```\n)?", re.S
)


def with_commands(page: str) -> str:
    """The page with every list of commands written anew."""
    return COMMANDS.sub(
        lambda found: found["comment"] + _commands(found["tables"].split("; "), found["tests"] is not None), page
    )


def _commands(tables: list[str], with_tests: bool) -> str:
    lines: list[str] = []
    for run in (run for table in tables for run in experiments() if run.table.startswith(table)):
        data_set = f"{run.table.split(',')[0]}, " if run in HEADLINE and ":" not in run.table else ""
        lines += [f"# {data_set}{run.name}: {run.result}", run.command]
        if with_tests:
            out = run.command.split()[-1]
            lines.append(f"crossframe evaluate {run.recipe} --model {out}/last --data {run.data} --out {out}-test")
    if not lines:
        raise ValueError(f"no experiment of the paper has a table that begins with {' or '.join(tables)}")
    return "".join(f"{line}\n" for line in ["```", *lines, "```"])


def with_studies(page: str) -> str:
    """The page with every table of a study written anew."""
    return STUDY.sub(lambda found: found["comment"] + _study(*found["asked"].split(" / ")), page)


def _study(names: str, title: str, first: str, columns: str) -> str:
    """A line that says where the figures come from, and the table, where there are any."""
    lines: list[str] = []
    rows: dict[str, dict[str, list[float]]] = {}
    for name in names.split(" + "):
        path = RESULTS / f"{name}.json"
        if not path.is_file():
            lines.append(f"*Not measured yet ({path.name}).*")
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        world, commit = found["world"], found["environment"]["commit"]
        lines.append(f"*Shapes world {world}, commit {commit}, {path.name}.*")
        for variant, seeds in found["runs"][title].items():
            row = rows.setdefault(variant, {})
            for scores in seeds:
                for column, value in scores.items():
                    row.setdefault(column, []).append(value)
    said = "*" + " ".join(line.strip("*") for line in lines) + "*\n"
    if not rows:
        return said
    pairs = [column.partition(" = ") for column in columns.split("; ")]
    head = [first, *(heading or column for column, _, heading in pairs)]
    table = [
        [variant, *(mean_and_spread(row.get(column, [])) for column, _, _ in pairs)] for variant, row in rows.items()
    ]
    return f"{said}\n{_markdown(head, table)}"


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
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    COMMANDS_PAGE.write_text(filled(with_commands(COMMANDS_PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
    for study_page in STUDY_PAGES:
        study_page.write_text(with_studies(filled(study_page.read_text(encoding="utf-8"))), encoding="utf-8")
