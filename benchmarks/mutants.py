"""Plants faults of one line in a copy of the source, one at a time, and counts those that the tests notice.

python -m benchmarks.mutants [--jobs 2] [--only model/] [--save]

The faults are listed in `mutants.toml`, with the test files that should notice them. A fault counts as caught where a
test fails, or ends later than it may, and passes without it, which is checked in the end. The test that noticed a fault
in the last saved run is tried first, so that the next whole run is much shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import RESULTS, ROOT, environment

LISTED = Path(__file__).with_suffix(".toml")
SAVED = RESULTS / "mutants.json"
TARGET = 0.97
LONGEST = 900.0  # seconds that a file of tests may take
NOTICED = "CROSSFRAME_NOTICED"  # the environment variable that names the file for the test that failed
LEFT_OUT = (".*", "__pycache__", "runs", "*.egg-info")  # of a checkout, of which tests read most


@dataclass(frozen=True, slots=True)
class Fault:
    """`old`, which stands exactly once in `file` below the package, becomes `new`; `tests` should notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.file}: {self.old.strip()} -> {self.new.strip()}"

    def planted(self, source: str) -> str:
        """The source with the fault. Raises ValueError where the list is not that of this source."""
        times = source.count(self.old)
        if times != 1:
            raise ValueError(f"{self.file}: {self.old!r} is there {times} times; name a line that is there once")
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")  # or everything would notice it
        return changed


def listed(only: str = "") -> list[Fault]:
    """The faults of `mutants.toml` in files whose names begin with `only`."""
    with LISTED.open("rb") as file:
        parts = tomllib.load(file)
    return [
        Fault(name, old, new, tuple(part["tests"]))
        for name, groups in parts.items()
        for part in groups
        for old, new in part["faults"]
        if name.startswith(only)
    ]


def with_known_first(faults: Sequence[Fault]) -> list[Fault]:
    """The same faults, each with the test that noticed it in the saved run before the others, where it still is."""
    known = json.loads(SAVED.read_text(encoding="utf-8"))["noticed by"] if SAVED.exists() else {}
    found: list[Fault] = []
    for fault in faults:
        test, _, _ = known.get(fault.name, "").partition("[")  # all its cases, whatever they are called by now
        file, _, name = test.partition("::")
        there = name and (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")
        found.append(replace(fault, tests=(test, *fault.tests)) if there else fault)
    return found


def pytest_runtest_logreport(report: Any) -> None:
    """Note the test that failed: this file is also a plugin of the runs that it starts."""
    if report.failed and (note := os.environ.get(NOTICED)):
        Path(note).write_text(report.nodeid, encoding="utf-8")


def failing(tree: Path, tests: Sequence[str]) -> str | None:
    """The first of these tests that fails on this copy, None where all pass.

    Where pytest ends without a word on one of them (a file that cannot be imported, too much time), the first named.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "benchmarks.mutants"]
    scratch, note = (tree.parent / f"{tree.name}-{word}" for word in ("scratch", "note"))
    note.unlink(missing_ok=True)
    settings = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", NOTICED: str(note)}
    settings |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree / "src")}
    try:
        done = subprocess.run(
            [*command, f"--basetemp={scratch}", *tests],
            cwd=tree,
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return tests[0]
    if not done.returncode:
        return None
    return note.read_text(encoding="utf-8") if note.exists() else tests[0]


class Trees:
    """Copies of the source, of which each thread takes one."""

    def __init__(self, folder: Path, count: int) -> None:
        (folder / "shared").symlink_to(ROOT.parent / "shared")  # reference data, of which many tests are
        self._free: SimpleQueue[Path] = SimpleQueue()
        for number in range(count):
            self._free.put(Path(shutil.copytree(ROOT, folder / str(number), ignore=shutil.ignore_patterns(*LEFT_OUT))))

    def failing(self, tests: Sequence[str]) -> str | None:
        """The first of these tests that fails without a fault."""
        tree = self._free.get()
        try:
            return failing(tree, tests)
        finally:
            self._free.put(tree)

    def noticed(self, fault: Fault) -> str | None:
        """The test that notices a fault, None where it survives."""
        tree = self._free.get()
        path = tree / "src" / "crossframe" / fault.file
        source = path.read_text(encoding="utf-8")
        try:
            path.write_text(fault.planted(source), encoding="utf-8")
            return next(filter(None, (failing(tree, [test]) for test in fault.tests)), None)
        finally:
            path.write_text(source, encoding="utf-8")
            self._free.put(tree)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("--jobs", type=int, default=1, help="faults tried at a time")
    parser.add_argument("--only", default="", help="only faults in files whose names begin so, such as model/")
    parser.add_argument("--save", action="store_true", help="write the result beside the code")
    given = parser.parse_args(arguments)
    faults, started = with_known_first(listed(given.only)), time.perf_counter()
    for fault in faults:
        fault.planted((ROOT / "src" / "crossframe" / fault.file).read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as threads:
        trees = Trees(Path(folder), given.jobs)
        tests: list[str | None] = []
        for fault, test in zip(faults, threads.map(trees.noticed, faults), strict=True):
            print(f"{'caught' if test else 'SURVIVED':<9} {fault.file}: {fault.old.strip()}", flush=True)
            tests.append(test)
        noticing = {test for test in tests if test}
        while noticing and (test := trees.failing(sorted(noticing))):
            if test not in noticing:
                sys.exit(f"{test}: fails without any fault; mend that first")
            print(f"{test}: fails without any fault, so what it noticed does not count")
            noticing.remove(test)
    tests = [test if test in noticing else None for test in tests]
    noticed = {fault.name: test for fault, test in zip(faults, tests, strict=True)}
    survivors = [name for name, test in noticed.items() if test is None]
    share = 1 - len(survivors) / len(faults)
    found = {
        "benchmark": "mutants",
        "environment": environment() | {"minutes": round((time.perf_counter() - started) / 60, 1)},
        "faults": len(faults),
        "caught": len(faults) - len(survivors),
        "survivors": survivors,
        "noticed by": {name: test for name, test in noticed.items() if test},
    }
    if given.save:
        SAVED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{found['caught']} of {len(faults)} faults are caught, {share:.1%}; {TARGET:.0%} are asked for")
    return 0 if share >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
