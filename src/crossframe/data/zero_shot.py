"""Which classes of one data set are new to another, with a record of how names were matched.

The paper's zero-shot test on Kinetics-600 uses the classes that Kinetics-400 does not have. Some classes were renamed
between the two, so that comparing names alone finds too many, and papers differ by a class. Here every decision is
shown, and the caller can overrule it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from io import StringIO
from pathlib import Path
from typing import Literal

from crossframe.text.labels import check_labels
from crossframe.text.reading import read_text

Reason = Literal["same", "spelling", "qualifier", "renamed", "new"]

ARTICLES = frozenset({"a", "an", "the"})
ALIKE = 0.65  # from here on two names are shown as possibly one


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """A class of the new data set and what is known of it in the old one.

    `reason`: `same` name; another `spelling`, in letters' case, punctuation or articles; a `qualifier` in brackets,
    "(not wine)", added or taken away; `renamed`, as the caller says; or `new`, and then `old` is None.
    `alike`: for a new class, classes that only the old data set has and whose names are similar: to be judged by eye.
    """

    label: str
    old: str | None
    reason: Reason
    alike: tuple[str, ...] = ()


def match_classes(
    old: Sequence[str], new: Sequence[str], renamed: Mapping[str, str] | None = None
) -> tuple[ClassMatch, ...]:
    """The class of `old`, if any, that each class of `new` stands for, in order. `renamed` maps new names to old ones.

    Each class of `old` is matched once: first as `renamed` says, then by the most certain match.

    >>> [(m.label, m.old) for m in match_classes(["hugging"], ["hugging (not baby)", "hugging baby"])]
    [('hugging (not baby)', 'hugging'), ('hugging baby', None)]

    Raises ValueError where labels repeat or `renamed` speaks of a class that is not there.
    """
    check_labels(old)
    check_labels(new)
    renamed = dict(renamed or {})
    for after, before in renamed.items():
        if after not in new or before not in old:
            raise ValueError(f"{after!r}, renamed from {before!r}: one of them is in neither list; correct the table")
    found: dict[str, tuple[str, Reason]] = {}
    left = set(old)
    ways: list[tuple[Reason, Callable[[str], str], Callable[[str], str]]] = [
        ("renamed", lambda name: renamed.get(name, ""), str),
        ("same", str, str),
        ("spelling", _spelling, _spelling),
        ("qualifier", _unqualified, _unqualified),
    ]
    for reason, key_of_new, key_of_old in ways:
        counts = Counter(map(key_of_old, left))
        known = {key_of_old(name): name for name in left if counts[key_of_old(name)] == 1}
        for label in new:
            match = known.get(key_of_new(label))
            if label not in found and match in left:
                found[label] = (match, reason)
                left.discard(match)
    return tuple(
        ClassMatch(label, *found[label]) if label in found else ClassMatch(label, None, "new", _alike(label, left))
        for label in new
    )


def read_renamed(path: Path) -> dict[str, str]:
    """A table of classes with columns `new` and `old`, which say that one is the other."""
    rows = list(csv.DictReader(StringIO(read_text(path))))
    for row in rows:
        if not row.get("new") or not row.get("old"):
            raise ValueError(f"{path}: a row has no new or no old name; its columns must be new and old")
    return {row["new"]: row["old"] for row in rows}


def new_classes(matches: Iterable[ClassMatch]) -> list[str]:
    """The classes that the old data set does not have."""
    return [match.label for match in matches if match.old is None]


def _spelling(label: str) -> str:
    words = re.findall(r"\w+", label.casefold().replace("'", ""))
    return " ".join(word for word in words if word not in ARTICLES)


def _unqualified(label: str) -> str:
    return _spelling(re.sub(r"\([^)]*\)", " ", label))


def _alike(label: str, others: Iterable[str]) -> tuple[str, ...]:
    """The other labels that read similarly, or most of whose words are in the label; the most similar first."""
    words = set(_unqualified(label).split())
    likeness: dict[str, float] = {}
    for other in sorted(others):
        other_words = set(_unqualified(other).split())
        shared = len(words & other_words) / max(len(other_words), 1)
        likeness[other] = max(shared, SequenceMatcher(None, label, other).ratio())
    return tuple(sorted((name for name in likeness if likeness[name] >= ALIKE), key=lambda name: -likeness[name]))
