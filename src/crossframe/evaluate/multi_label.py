"""Clips with several labels at once: average precision of each label, and its mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossframe.evaluate.ranking import average_precision
from crossframe.evaluate.result import Evaluation

MISSING = -1.0  # the score of a clip that could not be read: it comes last for every label


@dataclass(frozen=True)
class MultiLabelEvaluation(Evaluation):
    """An evaluation of clips with several labels: `truths` has the class indices of each.

    A clip counts as right in `top1` and the confusions if its best label is one of its own.
    """

    truths: tuple[tuple[int, ...], ...]

    @cached_property
    def precisions(self) -> list[float]:
        """The average precision of each label; NaN for one that no clip has."""
        missing = (MISSING,) * len(self.labels)
        scores = np.array([result.row or missing for result in self.results])  # (N, K)
        true = np.zeros(scores.shape, dtype=bool)
        for row, places in zip(true, self.truths, strict=True):
            row[list(places)] = True
        return [average_precision(scores[:, k], true[:, k]) for k in range(len(self.labels))]

    @property
    def mean_ap(self) -> float:
        """The mean of `precisions` over the labels that some clip has."""
        return float(np.nanmean(self.precisions))

    def summary(self) -> dict[str, Any]:
        """`mean_ap`, `per_label` with the average precision of each, then what every evaluation says."""
        clips = np.bincount([place for places in self.truths for place in places], minlength=len(self.labels))
        found = [
            {"label": label, "videos": int(count), "average_precision": precision}
            for label, count, precision in zip(self.labels, clips, self.precisions, strict=True)
            if count
        ]
        return {"mean_ap": self.mean_ap, "per_label": found} | Evaluation.summary(self)
