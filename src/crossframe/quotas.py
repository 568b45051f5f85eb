"""The shares of processors and memory that containers and job schedulers leave to this process: its control groups'.

A group within a group has no more than each of those around it. Both versions of Linux's interface are read; elsewhere,
and without a limit, everything is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60  # version 1 has no word for it, but the largest number of whole pages


class Memory(NamedTuple):
    """Of the tightest group, in bytes: what all its processes may take together, and how much of that is left."""

    limit: int
    left: int


def processors() -> float | None:
    """The processors that may be kept busy all the time, for instance 1.5."""
    found: list[float] = []
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError):  # a ValueError is "max"
            if (folder / "cpu.max").is_file():
                quota, period = map(int, (folder / "cpu.max").read_text().split())
            else:
                quota, period = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            if quota > 0 and period > 0:
                found.append(quota / period)
    return min(found, default=None)


def memory() -> Memory | None:
    """Memory that holds files read before counts as left: it is given back when needed."""
    found: list[Memory] = []
    for folder in _groups("memory"):
        with suppress(OSError, ValueError):
            if (folder / "memory.max").is_file():
                limit, used = (_number(folder / f"memory.{name}") for name in ("max", "current"))
            else:
                limit, used = (_number(folder / f"memory.{name}_in_bytes") for name in ("limit", "usage"))
            if limit < UNLIMITED:
                found.append(Memory(limit, max(limit - used + _kept_files(folder), 0)))
    return min(found, key=lambda memory: memory.left, default=None)


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those around it.

    A container may see the path of its group from outside, and the files of the group at the root: what is not there is
    left out.
    """
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        tops = [ROOT / controllers, ROOT / controller] if controllers else [ROOT, ROOT / "unified"]
        top = next((folder for folder in tops if folder.is_dir()), None)
        if top is None or (not controllers and number != "0"):
            continue
        inner = top / path.strip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _number(file: Path) -> int:
    return int(file.read_text())


def _kept_files(folder: Path) -> int:
    """Bytes of files that the kernel keeps and nobody has used for a while."""
    with suppress(OSError, ValueError):
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))
    return 0
