"""A command among processes: ended by a signal, in one line, or one of several, whose messages are printed once."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from crossframe.processes import launched

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C has ended
MESSAGE = "crossframe: interrupted"
IMPORTING = "<frozen importlib._bootstrap>"  # the file of Python's frames below every import
PATIENCE = 30  # seconds: on a busy machine, processes are that far apart


def is_first() -> bool:
    """True if this is the process that prints."""
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


def catch_interrupts() -> None:
    """Turn Ctrl-C, and SIGTERM, with which a scheduler ends a command, into a KeyboardInterrupt.

    Unless the parent has Ctrl-C ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            # C++ code that modules run, torch's too, may swallow an exception or die of it.
            if is_first():
                os.write(2, f"{MESSAGE}\n".encode())
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
