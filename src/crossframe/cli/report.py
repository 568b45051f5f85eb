"""`crossframe report` and `crossframe compare`: the page about an evaluation, and two evaluations side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from crossframe.cli.shared import alarm, json_line

if TYPE_CHECKING:
    from crossframe.evaluate.compare import Comparison

SHOWN = 20  # classes


def report(
    run: Annotated[Path, Argument(help="A folder that crossframe evaluate has written.")],
    out: Annotated[Path | None, Option(help="The page, or a folder for report.html; RUN if not given.")] = None,
    root: Annotated[Path | None, Option(help="Where the videos are now, if they have moved.")] = None,
) -> None:
    """Write the page about an evaluation: numbers, confusions, and the worst mistakes with their frames."""
    _check_folders(run)
    from crossframe.evaluate.report import write_report

    print(write_report(run, out, root))


def compare(
    first: Annotated[Path, Argument(help="A folder that 'crossframe evaluate' wrote.")],
    second: Annotated[Path, Argument(help="Another, of the same videos.")],
    as_json: Annotated[bool, Option("--json", help="One JSON object, with all classes that moved.")] = False,
) -> None:
    """Compare two evaluations of the same videos: the difference, how sure it is, and the classes that moved."""
    _check_folders(first, second)
    from dataclasses import asdict

    from crossframe.evaluate.compare import compare as run

    found = run(first, second)
    for line in found.warnings:
        alarm(line)
    if as_json:
        print(json_line({**asdict(found), "difference": found.difference}, sys.stdout.encoding))
    else:
        print("\n".join(_lines(found)))


def _check_folders(*runs: Path) -> None:
    """Raise ValueError for a slip in a name, which need not wait for imports."""
    for run in runs:
        if not run.is_dir():
            raise ValueError(f"{run} is no folder; give one that 'crossframe evaluate --out' wrote")


def _lines(found: Comparison) -> Iterator[str]:
    low, high = found.interval
    yield f"videos      {found.videos}"
    yield f"top1        {found.first:.1%} and {found.second:.1%}"
    over = f" over {found.recordings} recordings" if found.recordings else ""
    yield f"difference  {found.difference:+.1%}  (95% interval, paired{over}: {low:+.1%} to {high:+.1%})"
    test = f"exact permutation test{over}" if over else "McNemar's exact test"
    yield f"gained      {found.gained}, lost {found.lost}  ({test}: p = {found.p_value:.3g})"
    if not found.classes:
        return
    width = max(len(change.label) for change in found.classes[:SHOWN])
    yield ""
    yield f"{'class':<{width}}  {'videos':>6}  {'first':>6}  {'second':>6}"
    for change in found.classes[:SHOWN]:
        shares = (change.first / change.videos, change.second / change.videos)
        yield f"{change.label:<{width}}  {change.videos:>6}  " + "  ".join(f"{share:>6.0%}" for share in shares)
    if len(found.classes) > SHOWN:
        yield f"and {len(found.classes) - SHOWN} more; --json lists them"
