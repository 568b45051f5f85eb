"""Labels: checking candidates, splitting "CamelCase" into words, and naming a few of many.

No label is changed unless asked: papers treat labels differently, and that changes results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

SHOWN = 3
# Control characters, and those that turn the direction of what follows.
_STEERING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


def humanize(label: str) -> str:
    """Split CamelCase and underscores into words: "ApplyEyeMakeup" and "apply_eye_makeup" become "apply eye makeup".

    Words come out in lower case, except acronyms ("TVShow" -> "TV show"). Digits stay with the letters before them
    ("100mHurdles" -> "100m hurdles"): the tokenizer separates them anyway.
    """
    words = [word for part in label.replace("_", " ").split() for word in _camel_words(part)]
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def escaped(text: str) -> str:
    """A name or label as terminals should show it: characters that would steer one are spelled out.

    >>> escaped("clip\\x1b[2J.mp4")
    'clip\\\\x1b[2J.mp4'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def check_labels(labels: Iterable[str]) -> list[str]:
    """Return the labels as a list, or explain why they cannot be told apart. A column of numpy or pandas is fine.

    Raises:
        ValueError: no labels, an empty one, one that is no str, two that read the same to the model, or a table.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels is the single text {labels!r}: give a list of labels")
    if isinstance(labels, Mapping) or hasattr(labels, "columns"):  # a data frame would give the names of its columns
        raise ValueError(f"labels is a table, of type {type(labels).__name__}: give a list, or one of its columns")
    labels = [] if labels is None else list(labels)  # pyright: ignore[reportUnnecessaryComparison]
    if not labels:
        raise ValueError("there are no labels: give at least one thing the video may show")
    seen: dict[str, int] = {}
    for position, label in enumerate(labels, start=1):
        if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"label {position} is {label!r}, of type {type(label).__name__}: labels must be str")
        key = normalized(label)
        if not key:
            raise ValueError(f"label {position} of {len(labels)} is empty: remove it or fill it in")
        if key in seen:
            first = labels[seen[key] - 1]
            raise ValueError(
                f"labels {seen[key]} and {position} read the same, {first!r} and {label!r}: remove one of them"
            )
        seen[key] = position
    return [str(label) for label in labels]  # numpy's texts are a kind of str


def _camel_words(text: str) -> Iterator[str]:
    start = 0
    for index in range(1, len(text)):
        if _starts_word(text, index):
            yield text[start:index]
            start = index
    yield text[start:]


def _starts_word(text: str, index: int) -> bool:
    """A capital starts a word after a small letter or a digit, or as the last capital of a run before small letters."""
    if not text[index].isupper():
        return False
    before, after = text[index - 1], text[index + 1 : index + 3]
    # Two small letters, so that the plural of an acronym ("DJs") stays whole.
    return before.islower() or before.isdigit() or (before.isupper() and len(after) == 2 and after.islower())


@lru_cache(maxsize=1 << 14)  # the same labels are checked again with every video
def normalized(label: str) -> str:
    """A label as the model reads it: the model cannot tell labels apart that are equal here."""
    from crossframe.text.bpe import clean  # takes a while to import

    return clean(label)
