"""Clips that training and testing share, which would make every result worthless."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from crossframe.data.clip import Clip
from crossframe.text.listing import some


class OverlapError(ValueError):
    """Clips that are in several splits at once; `names` are all of them."""

    def __init__(self, overlap: Mapping[str, Iterable[str]]) -> None:
        self.names = [f"{name} ({', '.join(splits)})" for name, splits in overlap.items()]
        super().__init__(
            f"{len(overlap)} clips are in several splits: {some(self.names)}; a test must be of clips that training "
            f"never saw: take them out of one"
        )


def check_apart(clips: Iterable[Clip]) -> str | None:
    """Refuse clips that are in several splits, wholly or in part.

    Returns a warning about recordings whose clips are spread over several splits, which occur in a few official lists;
    None if there are none.
    """
    files: defaultdict[str, list[Clip]] = defaultdict(list)
    recordings: defaultdict[str, dict[str, None]] = defaultdict(dict)  # their splits, in order
    for clip in clips:
        files[clip.path].append(clip)
        recordings[clip.recording][clip.split] = None
    overlap: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for stretches in files.values():
        for clip, other in _overlapping(stretches):
            overlap[clip.name].update({other.split: None, clip.split: None})
    if overlap:
        raise OverlapError(overlap)
    shared = [f"{name} ({', '.join(splits)})" for name, splits in recordings.items() if len(splits) > 1]
    if not shared:
        return None
    return (
        f"{len(shared)} recordings have clips in several splits: {some(shared)}; numbers will be too good, unless all "
        "clips of a recording go to one split"
    )


def _overlapping(stretches: Sequence[Clip]) -> Iterator[tuple[Clip, Clip]]:
    """Stretches of one file that overlap in time with an earlier one of another split."""
    if len({clip.split for clip in stretches}) == 1:
        return
    last: dict[str, Clip] = {}  # of each split, the stretch that ends last so far
    for clip in sorted(stretches, key=_begin):
        others = [other for split, other in last.items() if split != clip.split]
        yield from ((clip, other) for other in others if _begin(clip) < _end(other))
        if clip.split not in last or _end(last[clip.split]) < _end(clip):
            last[clip.split] = clip


def _begin(clip: Clip) -> float:
    return clip.start or 0.0


def _end(clip: Clip) -> float:
    return math.inf if clip.end is None else clip.end
