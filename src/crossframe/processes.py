"""This process: the processors it may use, its place under torchrun, and Ctrl-C and SIGTERM where it works for another.

Nothing here needs torch: the command line asks before torch is imported.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from math import ceil
from threading import Thread

from crossframe import quotas

GRACE = 10.0  # seconds for a parent that got the signal too to finish what it needs this process for


def cores() -> int:
    """The CPUs that this process may use: all, or the share that `taskset`, a container or a job scheduler gave it."""
    visible = _visible_cores()
    share = quotas.processors()
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
