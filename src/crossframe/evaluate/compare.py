"""Two evaluations of the same videos, side by side."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from crossframe.data.parquet import read_rows
from crossframe.evaluate.result import PREDICTIONS, SUMMARY
from crossframe.evaluate.statistics import mcnemar, paired_interval


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class, and how many of its videos the first and the second run have right."""

    label: str
    videos: int
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Top-1 of two runs, and what is known of the difference, `second - first`.

    `gained` videos only the second has right, `lost` only the first. `interval` is the 95% interval of the difference
    over videos drawn again in pairs; `p_value` is that of McNemar's exact test. `classes` are those that moved, the
    most moved first.
    """

    videos: int
    first: float
    second: float
    gained: int
    lost: int
    interval: tuple[float, float]
    p_value: float
    classes: tuple[ClassChange, ...]

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.videos


def compare(first: Path, second: Path) -> Comparison:
    """Compare the evaluations in two folders.

    Raises ValueError, in one line, where a folder holds none, or the two are not of the same videos and labels.
    """
    hits = [_hits(first), _hits(second)]
    _check_same(hits[0], hits[1], first, second)
    by_class: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for (path, label), right in hits[0].items():
        by_class[label].append((right, hits[1][path, label]))
    classes = [
        ClassChange(label, len(pairs), sum(a for a, _ in pairs), sum(b for _, b in pairs))
        for label, pairs in sorted(by_class.items())
    ]
    moved = [change for change in classes if change.first != change.second]
    pairs = [pair for found in by_class.values() for pair in found]
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    return Comparison(
        videos=len(pairs),
        first=sum(a for a, _ in pairs) / len(pairs),
        second=sum(b for _, b in pairs) / len(pairs),
        gained=gained,
        lost=lost,
        interval=paired_interval(gained, lost, len(pairs)),
        p_value=mcnemar(gained, lost),
        classes=tuple(sorted(moved, key=lambda change: -abs(change.second - change.first) / change.videos)),
    )


def _hits(run: Path) -> dict[tuple[str, str], bool]:
    """Whether each video, by its path and label, was named right."""
    if not (run / PREDICTIONS).is_file():
        trials = sorted(path.parent.name for path in run.glob(f"*/{PREDICTIONS}"))
        if trials:
            raise ValueError(f"{run} holds several trials: {', '.join(trials)}; compare one, {run / trials[0]}")
        raise ValueError(f"{run} holds no {PREDICTIONS}; give a folder that 'crossframe evaluate --out' wrote")
    rows = read_rows(run / PREDICTIONS)
    if not rows or not {"path", "label", "correct"} <= rows[0].keys():
        raise ValueError(f"{run / PREDICTIONS} is not that of an evaluation; evaluate again")
    return {(row["path"], row["label"]): row["correct"] for row in rows}


def _check_same(
    one: dict[tuple[str, str], bool], other: dict[tuple[str, str], bool], first: Path, second: Path
) -> None:
    for mine, theirs, has, lacks in ((one, other, first, second), (other, one, second, first)):
        extra = mine.keys() - theirs.keys()
        if extra:
            path, label = min(extra)
            raise ValueError(
                f"the two runs are not on the same videos: {len(extra)} of {has} are not in {lacks}, "
                f"the first is {path} ({label}); evaluate both on one list: made_with in {SUMMARY} names it"
            )
