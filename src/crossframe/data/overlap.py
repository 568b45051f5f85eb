"""Clips that training and testing share, which would make every number worthless."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

SHOWN = 3  # names in a message


class OverlapError(ValueError):
    """Clips that are in several splits at once; `names` are all of them."""

    def __init__(self, overlap: dict[str, list[str]]) -> None:
        self.names = [f"{name} ({', '.join(splits)})" for name, splits in overlap.items()]
        super().__init__(
            f"{len(overlap)} clips are in several splits: {some(self.names)}; a test must be of clips that training "
            f"never saw: take them out of one"
        )


def check_apart(clips: Iterable[tuple[str, str]]) -> None:
    """Refuse a clip that is in several splits; clips are pairs of a name and a split."""
    splits: defaultdict[str, list[str]] = defaultdict(list)
    for name, split in clips:
        if split not in splits[name]:
            splits[name].append(split)
    overlap = {name: found for name, found in splits.items() if len(found) > 1}
    if overlap:
        raise OverlapError(overlap)


def some(names: Iterable[str]) -> str:
    """The first few of many names."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
