"""`crossframe report`: the page about an evaluation, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def report(
    run: Annotated[Path, Argument(help="A folder that crossframe evaluate has written.")],
    out: Annotated[Path | None, Option(help="The page, or a folder for report.html; RUN if not given.")] = None,
    root: Annotated[Path | None, Option(help="Where the videos are now, if they have moved.")] = None,
) -> None:
    """Write the page about an evaluation: numbers, confusions, and the worst mistakes with their frames."""
    from crossframe.evaluate.report import write_report

    print(write_report(run, out, root))
