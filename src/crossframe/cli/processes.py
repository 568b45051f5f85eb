"""A command in several processes, as torchrun starts them: what there is to say is said once."""

from __future__ import annotations

import os
import signal
import time

PATIENCE = 30  # seconds: on a busy machine, processes are that far apart


def is_first() -> bool:
    """Whether this is the process that speaks."""
    return "LOCAL_RANK" not in os.environ or os.environ["RANK"] == "0"


def leave_it_to_the_first(status: int) -> None:
    """Let the first process say what is wrong: it was given the same command, and torchrun ends all when one ends.

    This one then exits with `status` and without a word. Returns where it is not ended, so that it can say what it
    alone has met, such as a file that its machine lacks.
    """
    if is_first():
        return
    signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
    time.sleep(PATIENCE)
