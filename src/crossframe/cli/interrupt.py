"""Ctrl-C, and SIGTERM, with which a scheduler ends a command: exit status 130 and one line."""

from __future__ import annotations

import os
import signal
from types import FrameType

from crossframe.cli.processes import is_first

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C has ended
MESSAGE = "crossframe: interrupted"
IMPORTING = "<frozen importlib._bootstrap>"  # the file of Python's frames below every import


def catch_interrupts() -> None:
    """Turn either signal into a KeyboardInterrupt, unless the parent has Ctrl-C ignored."""
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
