"""Ctrl-C and SIGTERM: a run finishes its step, saves and ends."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)


class TrainingStopped(Exception):  # noqa: N818 - nothing went wrong
    """The run was asked to stop, has saved its state, and can be resumed."""


@contextmanager
def stop_signal() -> Generator[Callable[[], bool]]:
    """Inside, the first Ctrl-C or SIGTERM only makes the yielded function return True; a later Ctrl-C stops at once.

    SIGTERM may come twice: from a scheduler that ends every process, and from torchrun or `timeout`, which pass it on.
    """
    seen: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if not seen:
            log.warning("stopping after this step; Ctrl-C to stop without saving")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    except ValueError:  # not the main thread, which alone may handle signals
        pass
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
