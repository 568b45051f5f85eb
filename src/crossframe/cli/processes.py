"""A command in several processes, as torchrun starts them: every message is printed once."""

from __future__ import annotations

import os
import signal
import time

from crossframe.processes import launched

PATIENCE = 30  # seconds: on a busy machine, processes are that far apart


def is_first() -> bool:
    """Whether this is the process that prints."""
    return launched()[0] == 0


def leave_it_to_the_first(status: int) -> None:
    """Let the first process print the error: it runs the same command, and torchrun ends all processes when one ends.

    This one then exits with `status`, silently. Returns if nobody ends it, so that it can print an error of its own,
    such as a file that only its machine lacks.
    """
    if is_first():
        return
    signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
    time.sleep(PATIENCE)
