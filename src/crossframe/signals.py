"""Ctrl-C and SIGTERM in processes that work for another one."""

from __future__ import annotations

import multiprocessing
import os
import signal
from threading import Thread


def leave_signals_to_parent() -> None:
    """Ctrl-C is ignored from now on, and so is SIGTERM unless the parent sends it.

    Both often reach a whole group of processes, and they are for the parent, which ends the others in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS does not tell who sends a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        parent = multiprocessing.parent_process()
        Thread(target=_end_for, args=(parent.pid if parent else os.getppid(),), daemon=True).start()


def _end_for(parent: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
