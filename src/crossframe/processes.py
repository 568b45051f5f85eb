"""This process: the processors and memory it may use, its place under torchrun, and signals where it works for another.

Containers and job schedulers leave it a share of the machine, its control group's. A group within a group has no more
than each of those around it. Both versions of Linux's interface are read; elsewhere, and without a limit, there is
no quota. Nothing here needs torch: the command line asks before torch is imported.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path
from threading import Thread
from typing import NamedTuple

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60  # version 1 has no word for it, but the largest number of whole pages
GRACE = 10.0  # seconds for a parent that got the signal too to finish what it needs this process for


def cores() -> int:
    """The CPUs that this process may use: all, or the share that `taskset`, a container or a job scheduler gave it."""
    visible = _visible_cores()
    share = cpu_quota()
    return visible if share is None else max(1, min(visible, ceil(share)))


def _visible_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores() -> None:
    """Let torch have no more threads than `cores`, and let them sleep soon while they wait for each other. To be called
    before torch is imported.

    Torch itself counts the CPUs that it sees, and a group that has used up its share of them stands still. GNU OpenMP
    has threads spin for milliseconds. Beside other work, that takes the processor that the awaited thread needs: small
    products become many times slower. Who has set OpenMP's own variables is left alone.
    """
    if cores() < _visible_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # some 20 microseconds, about what waking up takes


class MemoryQuota(NamedTuple):
    """Of the tightest group, in bytes: what all its processes may take together, and how much of that is left."""

    limit: int
    left: int


def cpu_quota() -> float | None:
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


def memory_quota() -> MemoryQuota | None:
    """Memory that holds files read before counts as left: it is given back when needed."""
    found: list[MemoryQuota] = []
    for folder in _groups("memory"):
        with suppress(OSError, ValueError):
            if (folder / "memory.max").is_file():
                limit, used = (_number(folder / f"memory.{name}") for name in ("max", "current"))
            else:
                limit, used = (_number(folder / f"memory.{name}_in_bytes") for name in ("limit", "usage"))
            if limit < UNLIMITED:
                found.append(MemoryQuota(limit, max(limit - used + _kept_files(folder), 0)))
    return min(found, key=lambda quota: quota.left, default=None)


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
        tops = [GROUPS / controllers, GROUPS / controller] if controllers else [GROUPS, GROUPS / "unified"]
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


def launched() -> tuple[int, int]:
    """(rank, world size) as torchrun tells it, before processes connect; (0, 1) without torchrun."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "LOCAL_RANK" in os.environ else (0, 1)


@contextmanager
def starting_workers() -> Generator[None]:
    """Inside, both signals are blocked, here and in the processes started, so that none reaches a worker before it
    calls `leave_signals_to_parent`."""
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """From now on ignore Ctrl-C, and SIGTERM for a while, unless the parent sends it.

    Both often reach a whole process group; the parent handles them, and ends its workers in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS does not tell who sends a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        parent = multiprocessing.parent_process()
        Thread(target=_end_for, args=(parent.pid if parent else os.getppid(),), daemon=True).start()


def _end_for(parent: int | None) -> None:
    sent = signal.sigwaitinfo({signal.SIGTERM})
    while sent is not None and sent.si_pid != parent:
        # Signals do not queue: the parent's may have been lost in this one, and then no other comes.
        sent = signal.sigtimedwait({signal.SIGTERM}, GRACE)
    os._exit(0)
