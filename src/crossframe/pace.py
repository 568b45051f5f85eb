"""The rate of long work and the time it will still take: a line every so often, for logs, where no bar is seen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from math import isnan
from typing import TypeVar

T = TypeVar("T")

EVERY = 60.0  # seconds
UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def figure(value: float, digits: int = 3) -> str:
    """A number to so many digits, as people write it: never with a power of ten.

    >>> figure(0.00001234), figure(118.6, 2), figure(1234567.0)
    ('0.0000123', '120', '1,230,000')
    """
    return format(Decimal(f"{value:.{digits}g}"), ",f")


def signed(value: float) -> str:
    """A change to two decimals; zero has no sign.

    >>> signed(1.234), signed(-1.0), signed(-0.001)
    ('+1.23', '-1.00', '0.00')
    """
    text = f"{value:+.2f}"
    return text if float(text) else text[1:]


def percent(share: float | None) -> str:
    """A share in percent, to one decimal; "-" where nobody knows it.

    >>> percent(0.1234), percent(float("nan")), percent(None)
    ('12.3%', '-', '-')
    """
    return "-" if share is None or isnan(share) else f"{share:.1%}"


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "clip"), counted(2000, "clip")
    ('1 clip', '2,000 clips')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Pace:
    """Follows work on `total` things, of which `done` are behind it: `what` names them, for instance "videos"."""

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self._what, self._total, self._first = what, total, done
        self._started = self._told = time.monotonic()

    def line(self, done: int) -> str | None:
        """Rate and time left, where `EVERY` seconds have passed since the last line."""
        now = time.monotonic()
        if now - self._told < EVERY or done <= self._first:
            return None
        self._told = now
        rate = (done - self._first) / (now - self._started)
        left = (self._total - done) / rate
        length = next(
            (f"{figure(left / size, 2)} {unit}" for unit, size in UNITS if left >= 2 * size), f"{left:.0f} seconds"
        )
        return f"{done:,} of {self._total:,} {self._what}, {figure(rate)} a second, about {length} left"


def told(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items, with lines on standard error while they are taken, where neither output is a terminal."""
    pace = Pace(what, total)
    for number, item in enumerate(items, 1):
        yield item
        if not (sys.stdout.isatty() or sys.stderr.isatty()) and (line := pace.line(number)):
            print(f"crossframe: {line}", file=sys.stderr)
