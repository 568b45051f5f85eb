"""What every measurement shares: peers in turn, medians, the environment, bars, and one JSON object at the end."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
# what saving changes, for git
SAVED = tuple(
    f":!{path}"
    for path in (
        "benchmarks/results",
        "docs/scaling.png",
        "docs/performance.md",
        "docs/results.md",
        "docs/explain.md",
        "docs/timeline.md",
        "docs/timeline-memory.png",
        "docs/scale.md",
        "EXPERIMENTS.md",
    )
)
PACKAGES = ("torch", "av", "numpy", "transformers", "opencv-python-headless", "decord", "openvino", "crossframe")


@dataclass(frozen=True, slots=True)
class Options:
    """`tiny` runs in seconds and shows only that everything works; `videos` holds real clips, if it exists."""

    tiny: bool
    repeats: int
    videos: Path


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and what it should be at least, or at most. A value of None has not been measured."""

    name: str
    value: float | None
    bar: float
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


@dataclass(slots=True)
class Result:
    """What a benchmark found. `notes` say what a reader must know to trust or to repeat it."""

    bars: list[Bar]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Medians over the repeats: on the clock, and of this process on its processors."""

    wall: float
    cpu: float


def in_turn(functions: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, Seconds]:
    """Run all functions once, then again, so that what else the machine does hits all of them alike."""
    walls: dict[str, list[float]] = {name: [] for name in functions}
    cpus: dict[str, list[float]] = {name: [] for name in functions}
    for round_number in range(-warm_up, repeats):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if round_number >= 0:
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
    return {name: Seconds(median(walls[name]), median(cpus[name])) for name in functions}


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def run(name: str, measure: Callable[[Options], Result], arguments: list[str] | None = None) -> Result:
    """The command line of a benchmark. `--save` writes the JSON object to benchmarks/results/NAME.json as well."""
    given = parse(f"python -m benchmarks.{name}", arguments)
    started = time.perf_counter()
    result = measure(Options(given.tiny, 1 if given.tiny else given.repeats, given.videos))
    _print_table(result)
    found = {
        "benchmark": name,
        "tiny": given.tiny,
        "environment": environment() | {"minutes": round((time.perf_counter() - started) / 60, 1)},
        "bars": [asdict(bar) | {"met": bar.met} for bar in result.bars],
        "rows": result.rows,
        "notes": result.notes,
    }
    if given.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return result


def parse(program: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """The options that all benchmarks share. What would be saved must be of a commit, so that others can repeat it."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes; the figures mean nothing")
    parser.add_argument("--repeats", type=int, default=5, help="medians are over this many rounds")
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "videos", help="a folder of real clips")
    parser.add_argument("--save", action="store_true", help="write the result beside the code")
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error(f"--repeats is {given.repeats}: use 1 or more")
    if given.save and given.tiny:
        parser.error("figures of --tiny mean nothing and are not saved: leave out one of --tiny and --save")
    if given.save:
        check_committed(parser)
    return given


def check_committed(parser: argparse.ArgumentParser) -> None:
    """End with an error of the command line where what runs is not that of a commit."""
    if changed := _git("status", "--porcelain", "--untracked-files=no", "--", ".", *SAVED):
        parser.error(f"--save, but there are changes that no commit has ({changed.split()[-1]}): commit them first")


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean of seeds and their deviation, where there are several; nothing where there is none.

    >>> mean_and_spread([0.5]), mean_and_spread([0.25, 0.75]), mean_and_spread([])
    ('.500', '.500 ± .354', '')
    """
    if not values:
        return ""
    found = [mean(values), *([stdev(values)] if len(values) > 1 else [])]
    return " ± ".join(f"{value:.3f}".removeprefix("0") for value in found)


def environment() -> dict[str, Any]:
    """The machine, the software and the moment."""
    import torch

    known: dict[str, str] = {}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "absent"
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "packages": known,
    }


def _cpu() -> str:
    try:
        lines = dict(
            line.split(":", 1)
            for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
            if ":" in line
        )
        fields = {name.strip(): value.strip() for name, value in lines.items()}
        fast = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx2") if flag in fields.get("flags", "")]
        return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']}; {' '.join(fast)})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit, marked where the code has changed since."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = commit and _git("status", "--porcelain", "--untracked-files=no", "--", ".", *SAVED)
    return f"{commit or 'unknown'}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    """What git answers; nothing where there is no git, or no repository."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _print_table(result: Result) -> None:
    for row in result.rows:
        print("  ".join(f"{name} {_shown(value)}" for name, value in row.items()))
    for note in result.notes:
        print(f"({note})")
    for bar in result.bars:
        word = {True: "met", False: "MISSED", None: "open"}[bar.met]
        print(
            f"{word:<7} {bar.name}: {_shown(bar.value)}, {'at most' if bar.at_most else 'at least'} {_shown(bar.bar)}"
        )


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
