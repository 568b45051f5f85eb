"""Metrics of ranked scores against scikit-learn and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torchmetrics.retrieval import RetrievalNormalizedDCG, RetrievalRecall

from crossframe.evaluate.ranking import (
    auroc,
    average_precision,
    discounted_gain,
    false_positives,
    open_set,
    ranks,
    rejection,
)

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("levels", [4, 1000])  # many ties, and few
@pytest.mark.parametrize("count", [5, 200])
def test_precision_and_areas_are_those_of_scikit_learn(count: int, levels: int) -> None:
    for _ in range(5):
        scores = GENERATOR.integers(levels, size=count) / levels
        true = GENERATOR.random(count) < 0.4
        true[:2] = True, False
        assert average_precision(scores, true) == pytest.approx(metrics.average_precision_score(true, scores))
        assert auroc(scores, true) == pytest.approx(metrics.roc_auc_score(true, scores))
        wrong, right, _ = metrics.roc_curve(true, scores, drop_intermediate=False)
        assert false_positives(scores, true) == pytest.approx(wrong[(right >= 0.95).argmax()])


def test_without_both_kinds_there_is_no_number() -> None:
    assert math.isnan(average_precision([0.5], [False]))
    assert math.isnan(auroc([0.5, 0.4], [True, True]))
    assert math.isnan(false_positives([0.5, 0.4], [False, False]))


def test_retrieval_is_that_of_torchmetrics_and_scikit_learn() -> None:
    scores = GENERATOR.random((20, 12))
    right = GENERATOR.random((20, 12)) < 0.2
    right[:, 3] = True
    queries = torch.arange(20).repeat_interleave(12)
    flat, hits = torch.tensor(scores).flatten(), torch.tensor(right).flatten()
    ours = discounted_gain(scores, right, depth=10)
    assert ours == pytest.approx(metrics.ndcg_score(right.astype(int), scores, k=10))
    assert ours == pytest.approx(float(RetrievalNormalizedDCG(top_k=10)(flat, hits, indexes=queries)), abs=1e-6)
    only = np.zeros((20, 12), dtype=bool)
    only[np.arange(20), GENERATOR.integers(12, size=20)] = True
    found = ranks(scores, only)
    for k in (1, 5, 10):
        theirs = RetrievalRecall(top_k=k)(flat, torch.tensor(only).flatten(), indexes=queries)
        assert float((found <= k).mean()) == pytest.approx(float(theirs))
    tied = np.repeat(scores[:, :6].round(1), 2, axis=1)
    assert discounted_gain(tied, right) == pytest.approx(metrics.ndcg_score(right.astype(int), tied, k=10))


def test_ties_count_against_a_rank() -> None:
    assert ranks([[0.5, 0.5, 0.1]], [[True, False, False]]).tolist() == [2]


def test_rejection_answers_the_most_confident_part_of_all_clips() -> None:
    found = open_set([0.9, 0.8, 0.4, 0.3], [True, True, False, True], [True, True, False, False])
    assert found["auroc"] == pytest.approx(2 / 3)
    assert (found["open_set"]["known"], found["open_set"]["unknown"]) == (3, 1)
    assert found["open_set"]["rejection"][0] == {"threshold": 0.9, "coverage": 0.25, "accuracy": 1.0}
    assert found["open_set"]["rejection"][-1] == {"threshold": 0.3, "coverage": 1.0, "accuracy": 0.5}
    assert rejection([0.5, 0.5], [True, False]) == [{"threshold": 0.5, "coverage": 1.0, "accuracy": 0.5}] * 2
