"""Everything that files, kills, full disks, limits, threads and rounding can do, tried on the package as it is.

python -m benchmarks.torture [--fast] [--only videos] [--seed 0] [--save]     # then python -m benchmarks.tables

Prints a table in the end. Exit status 0: nothing went wrong; 1: something did.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import RESULTS, environment
from benchmarks.torture import commands, numerics, parsers, videos
from benchmarks.torture.report import Options, Part, Row, table

PARTS: dict[str, Part] = {
    "videos": videos.mutants,
    "special": videos.special_files,
    "parsers": parsers.parsers,
    "weights": parsers.weights,
    "kills": commands.kills,
    "disks": commands.disks,
    "limits": commands.limits,
    "numerics": numerics.precisions,
    "orders": numerics.orders,
    "threads": numerics.threads,
    "leaks": numerics.leaks,
}


def torture(names: Sequence[str], *, fast: bool, seed: int = 0) -> list[Row]:
    """The rows of these parts."""
    logging.getLogger("crossframe").setLevel(logging.ERROR)  # thousands of warnings are no news here
    rows: list[Row] = []
    for name in names:
        started = time.perf_counter()
        print(f"== {name}", flush=True)
        with TemporaryDirectory(prefix="torture-") as folder:
            rows += PARTS[name](Options(fast, seed, Path(folder)))
        print(f"   {time.perf_counter() - started:.0f} s", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture")
    parser.add_argument("--fast", action="store_true", help="a small part of each kind")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part alone; repeat it")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other damage")
    parser.add_argument("--save", action="store_true", help="write the table beside the code")
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    rows = torture(given.only or list(PARTS), fast=given.fast, seed=given.seed)
    print(table(rows))
    minutes = round((time.perf_counter() - started) / 60, 1)
    said = [asdict(row) | {"wrong": len(row.wrong), "lines": row.wrong} for row in rows]
    found = {"benchmark": "torture", "fast": given.fast, "seed": given.seed, "rows": said}
    found["environment"] = environment() | {"minutes": minutes}
    if given.save:
        (RESULTS / "torture.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
