"""Accuracies against scikit-learn and torchmetrics."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

from crossframe.evaluate.metrics import Counts


@pytest.mark.parametrize("num_classes", [3, 5, 6, 40])
@pytest.mark.parametrize("seed", range(3))
def test_accuracies_agree_with_scikit_learn_and_torchmetrics(num_classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.cat(
        [torch.arange(num_classes), torch.randint(num_classes, (200,), generator=generator)]
    )  # every class occurs
    scores = torch.rand(len(targets), num_classes, generator=generator, dtype=torch.float64)
    ranked = scores.argsort(dim=1, descending=True)
    counts = Counts.of(ranked, targets, num_classes)

    classes = list(range(num_classes))
    assert counts.top1 == pytest.approx(top_k_accuracy_score(targets, scores, k=1, labels=classes))
    assert counts.top1 == pytest.approx(float(multiclass_accuracy(scores, targets, num_classes, average="micro")))
    assert counts.mean_class == pytest.approx(balanced_accuracy_score(targets, ranked[:, 0]))
    torch.testing.assert_close(
        counts.per_class, multiclass_accuracy(scores, targets, num_classes, average="none").double()
    )
    if num_classes > 5:
        assert counts.top5 == pytest.approx(top_k_accuracy_score(targets, scores, k=5, labels=classes))
    else:
        assert counts.top5 == 1.0


def test_counts_add_up_over_parts() -> None:
    targets, ranked = torch.randint(7, (50,)), torch.rand(50, 7).argsort(dim=1)
    whole = Counts.of(ranked, targets, 7)
    parts = Counts.of(ranked[:13], targets[:13], 7) + Counts.of(ranked[13:], targets[13:], 7)
    assert torch.equal(parts.videos, whole.videos)
    assert torch.equal(parts.first, whole.first)
    assert torch.equal(parts.in_five, whole.in_five)


def test_a_video_without_an_answer_is_wrong() -> None:
    ranked = torch.tensor([[0, 1], [-1, -1], [1, 0]])
    counts = Counts.of(ranked, torch.tensor([0, 0, 1]), 2)
    assert counts.top1 == counts.top5 == pytest.approx(2 / 3)
    assert counts.per_class.tolist() == [0.5, 1.0]
    assert counts.mean_class == 0.75


def test_classes_without_videos_do_not_count_in_the_mean() -> None:
    counts = Counts.of(torch.tensor([[0], [2]]), torch.tensor([0, 1]), 3)
    assert counts.mean_class == 0.5
    assert isnan(counts.per_class[2])
    assert isnan(Counts.of(torch.empty(0, 1, dtype=torch.int64), torch.empty(0, dtype=torch.int64), 3).top1)
