"""Errors about weights, in one line each."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from crossframe.text.labels import some

_LONGEST = 1000  # letters of a message


class WeightsError(ValueError):
    """Weights that cannot be used; the message names the file, what is wrong with it, and the remedy."""


@contextmanager
def errors_in(path: str | Path) -> Generator[None]:
    """Turn errors about the content of `path` into one line that names the file.

    Config files are written by others, so any entry may be missing or of another type than expected.
    """
    try:
        yield
    except KeyError as error:
        raise WeightsError(f"{path}: the entry {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """An error's message, made safe for a terminal: it may quote names from a stranger's file."""
    line = " ".join(str(error).split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."


def shorten(names: Iterable[str]) -> str:
    """The first few names in alphabetical order, and how many more there are."""
    return some(sorted(names))
