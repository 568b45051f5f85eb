"""Metrics of scores that put things in an order: which clips are of a label, which are unknown, which text fits.

A higher score means more likely. Ties are one step: no order among equals counts for or against anybody.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RECALL = 0.95  # of known clips, at which false positives are counted
POINTS = 20  # of the rejection curve
RANKS = (1, 5, 10)
DEPTH = 10  # of the discounted gain


def average_precision(scores: ArrayLike, true: ArrayLike) -> float:
    """The area under precision over recall, as steps, of N scores and whether each is true; NaN if none is."""
    hits, taken = _steps(scores, true)
    if not hits[-1]:
        return float("nan")
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / taken).sum() / hits[-1])


def auroc(scores: ArrayLike, true: ArrayLike) -> float:
    """How often a true one has the higher score than one that is not, ties counting half; NaN without both."""
    hits, taken = _steps(scores, true)
    misses = taken - hits
    if not hits[-1] or not misses[-1]:
        return float("nan")
    before = np.concatenate([[0], hits[:-1]])
    return float((np.diff(misses, prepend=0) * (before + hits) / 2).sum() / (hits[-1] * misses[-1]))


def false_positives(scores: ArrayLike, true: ArrayLike, recall: float = RECALL) -> float:
    """The share of those not true that are taken, where `recall` of the true ones are; NaN without both."""
    hits, taken = _steps(scores, true)
    misses = taken - hits
    if not hits[-1] or not misses[-1]:
        return float("nan")
    place = int((hits >= recall * hits[-1]).argmax())
    return float(misses[place] / misses[-1])


def ranks(scores: ArrayLike, right: ArrayLike) -> NDArray[np.int64]:
    """float (Q, D), bool (Q, D) -> (Q,): the rank, from 1, of each row's best right one; ties count against it."""
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((scores >= best) & ~right).sum(axis=1)


def discounted_gain(scores: ArrayLike, right: ArrayLike, depth: int = DEPTH) -> float:
    """float (Q, D), bool (Q, D) -> nDCG at `depth`, the mean over rows; those of equal score share their gains."""
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
    discount = 1 / np.log2(np.arange(scores.shape[1]) + 2)
    discount[depth:] = 0
    total = np.concatenate([[0], discount.cumsum()])
    found: list[float] = []
    for row, gains in zip(scores, right, strict=True):
        _, group, count = np.unique(-row, return_inverse=True, return_counts=True)
        end = count.cumsum()
        shared = (total[end] - total[end - count]) / count  # the mean discount of the places that equals take
        found.append(float((shared[group] * gains).sum() / total[int(gains.sum())]))
    return float(np.mean(found))


def _steps(scores: ArrayLike, true: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At each distinct score, from the highest down: how many true ones are taken, and how many in all."""
    scores, true = np.asarray(scores, dtype=np.float64), np.asarray(true, dtype=np.int64)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return true[order].cumsum()[ends], ends + 1


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
