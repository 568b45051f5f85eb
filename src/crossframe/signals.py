"""Ctrl-C and SIGTERM in worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from threading import Thread

GRACE = 10.0  # seconds for a parent that got the signal too to finish what it needs this process for


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
