"""Clips whose label is none of the candidates: how well the score of the best label tells them from the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crossframe.evaluate.ranking import auroc, false_positives

POINTS = 20  # of the rejection curve


def open_set(confidence: ArrayLike, known: ArrayLike, correct: ArrayLike) -> dict[str, Any]:
    """The entries of a summary about N clips, from the score of the best label of each, whether its own label is a
    `known` one, and whether it was named right.

    `auroc`: how often a known clip has the higher score; `fpr95`: the share of unknown clips that pass where 95% of
    known ones do; `rejection`: for rising thresholds, the share of all clips that pass, and of these the accuracy,
    unknown ones being wrong.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    known, correct = np.asarray(known, dtype=bool), np.asarray(correct, dtype=bool)
    return {
        "auroc": auroc(confidence, known),
        "fpr95": false_positives(confidence, known),
        "open_set": {
            "known": int(known.sum()),
            "unknown": int((~known).sum()),
            "rejection": rejection(confidence, correct & known),
        },
    }


def rejection(confidence: ArrayLike, correct: ArrayLike) -> list[dict[str, float]]:
    """Coverage and accuracy where only the most confident part of all clips is answered, in equal steps."""
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    order = np.argsort(-confidence, kind="stable")
    found: list[dict[str, float]] = []
    for kept in sorted({max(1, round(len(order) * step / POINTS)) for step in range(1, POINTS + 1)}):
        threshold = float(confidence[order[kept - 1]])
        passes = confidence >= threshold
        found.append(
            {
                "threshold": threshold,
                "coverage": float(passes.mean()),
                "accuracy": float(correct[passes].mean()),
            }
        )
    return found
