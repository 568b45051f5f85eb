"""Two evaluations of the same videos, side by side."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossframe.data.parquet import read_rows
from crossframe.evaluate.result import PREDICTIONS, SUMMARY
from crossframe.evaluate.statistics import grouped, mcnemar, paired_interval
from crossframe.evaluate.trained import warning_of


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class, and how many of its videos the first and the second run classify correctly."""

    label: str
    videos: int
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Top-1 of two runs, and the statistics of the difference, `second - first`.

    `gained`: videos that only the second run has right; `lost`: only the first. `interval`: 95% from the paired
    bootstrap over videos. `p_value`: McNemar's exact test. Where several videos were cut from one recording, whole
    recordings are resampled and permuted instead (exact permutation test); `recordings` is their number, otherwise
    None. `classes`: those that changed, the most changed first. `warnings`: a line for each run whose model was trained
    on these videos.
    """

    videos: int
    recordings: int | None
    first: float
    second: float
    gained: int
    lost: int
    interval: tuple[float, float]
    p_value: float
    classes: tuple[ClassChange, ...]
    warnings: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.videos


def compare(first: Path, second: Path) -> Comparison:
    """Compare the evaluations in two folders.

    Raises ValueError, in one line, where a folder holds none, or the two are not of the same videos and labels.
    """
    rows = [_rows(first), _rows(second)]
    _check_same(rows[0], rows[1], first, second)
    pairs = [(row["label"], row["correct"], rows[1][key]["correct"]) for key, row in rows[0].items()]
    recordings = [row.get("recording") for row in rows[0].values()]
    gains = grouped([after - before for _, before, after in pairs], None if None in recordings else recordings)
    by_class: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for label, before, after in pairs:
        by_class[label].append((before, after))
    classes = [
        ClassChange(label, len(found), sum(a for a, _ in found), sum(b for _, b in found))
        for label, found in sorted(by_class.items())
    ]
    moved = [change for change in classes if change.first != change.second]
    return Comparison(
        videos=len(pairs),
        recordings=None if None in recordings else len(gains),
        first=sum(before for _, before, _ in pairs) / len(pairs),
        second=sum(after for _, _, after in pairs) / len(pairs),
        gained=sum(after and not before for _, before, after in pairs),
        lost=sum(before and not after for _, before, after in pairs),
        interval=paired_interval(gains),
        p_value=mcnemar(gains),
        classes=tuple(sorted(moved, key=lambda change: -abs(change.second - change.first) / change.videos)),
        warnings=tuple(f"{run}: {line}" for run in (first, second) if (line := _alarm(run))),
    )


def _alarm(run: Path) -> str | None:
    """The line that marks a run on clips of its model's training."""
    if not (run / SUMMARY).is_file():
        return None
    summary = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    return warning_of(summary)


def _rows(run: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The predictions of a run, by path and label."""
    if not (run / PREDICTIONS).is_file():
        trials = sorted(path.parent.name for path in run.glob(f"*/{PREDICTIONS}"))
        if trials:
            raise ValueError(f"{run} holds several trials: {', '.join(trials)}; compare one, {run / trials[0]}")
        raise ValueError(f"{run} holds no {PREDICTIONS}; give a folder that 'crossframe evaluate --out' wrote")
    rows = read_rows(run / PREDICTIONS)
    if not rows or not {"path", "label", "correct"} <= rows[0].keys():
        raise ValueError(f"{run / PREDICTIONS} is not that of an evaluation; evaluate again")
    return {(row["path"], row["label"]): row for row in rows}


def _check_same(
    one: Mapping[tuple[str, str], Any], other: Mapping[tuple[str, str], Any], first: Path, second: Path
) -> None:
    for mine, theirs, has, lacks in ((one, other, first, second), (other, one, second, first)):
        extra = mine.keys() - theirs.keys()
        if extra:
            path, label = min(extra)
            raise ValueError(
                f"the two runs are not on the same videos: {len(extra)} of {has} are not in {lacks}, "
                f"the first is {path} ({label}); evaluate both on one list: made_with in {SUMMARY} names it"
            )
