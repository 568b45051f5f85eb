"""One labeled clip, a video file or a stretch of one; and the clips that training and testing must not share."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossframe.data.places import Places
from crossframe.text.labels import some

SEVERAL = "|"  # between the labels of a clip that has several


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of a data set.

    `path` is relative to the manifest's root, or absolute. `start` and `end` are seconds after the first frame; None
    means those of the file. Labels that are true of a clip at once stand in `label` with `SEVERAL` between them, `a|b`.
    Clips of one `group` were cut from one recording and must not be divided between training and testing.
    """

    path: str
    label: str
    split: str = ""
    start: float | None = None
    end: float | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not self.path.isascii():  # few are not
            try:
                self.path.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{self.path}: the name is not UTF-8, which lists need; rename the file") from None
        begin = 0.0 if self.start is None else self.start
        if not begin >= 0.0 or not (self.end is None or self.end > begin):
            raise ValueError(
                f"{self.path}: no clip can last from {self.start} to {self.end} s; start at 0 or later, end after it"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels, one or several.

        >>> Clip("a.mp4", "running|throwing").labels
        ('running', 'throwing')
        """
        return tuple(part.strip() for part in self.label.split(SEVERAL))

    @property
    def recording(self) -> str:
        """The recording it was cut from: its group, or else its file."""
        return self.group or self.path

    @property
    def name(self) -> str:
        """Its name in messages and tables: the path, with the times as a media fragment (`a.mp4#t=2.0,4.5`)."""
        if self.start is None and self.end is None:
            return self.path
        begin = "" if self.start is None else str(self.start)
        return f"{self.path}#t={begin}" if self.end is None else f"{self.path}#t={begin},{self.end}"


class OverlapError(ValueError):
    """Clips that are in several splits at once; `names` are all of them."""

    def __init__(self, overlap: Mapping[str, Iterable[str]]) -> None:
        self.names = [f"{name} ({', '.join(splits)})" for name, splits in overlap.items()]
        super().__init__(
            f"{len(overlap)} clips are in several splits: {some(self.names)}; a test must be of clips that training "
            f"never saw: take them out of one"
        )


def check_apart(clips: Iterable[Clip], root: Path | None = None) -> str | None:
    """Refuse clips that are in several splits, wholly or in part; with the `root` of their paths, however spelled.

    Returns a warning about recordings whose clips are spread over several splits, which occur in a few official lists;
    None if there are none.
    """
    clips = list(clips)
    if len({clip.split for clip in clips}) < 2:
        return None
    places = None if root is None else Places(root)
    files: defaultdict[str, list[Clip]] = defaultdict(list)
    recordings: defaultdict[str, dict[str, None]] = defaultdict(dict)  # their splits, in order
    spelled: dict[str, str] = {}  # files, as they are spelled first
    for clip in clips:
        place = clip.path if places is None else places.of(clip.path)
        files[place].append(clip)
        recordings[clip.group or spelled.setdefault(place, clip.path)][clip.split] = None
    overlap: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for stretches in files.values():
        for clip, other in _overlapping(stretches):
            name = clip.name if clip.path == other.path else f"{clip.name}, which is {other.name}"
            overlap[name].update({other.split: None, clip.split: None})
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
