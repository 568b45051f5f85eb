"""Accuracies against scikit-learn and torchmetrics."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from crossframe.evaluate.metrics import Counts
from crossframe.evaluate.result import Evaluation, VideoResult


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


@pytest.mark.parametrize("seed", range(3))
def test_the_summary_agrees_with_scikit_learn(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = tuple("abcdefg")
    targets = torch.randint(7, (90,), generator=generator)
    scores = torch.rand(90, 7, generator=generator, dtype=torch.float64).softmax(dim=1)
    order = scores.argsort(dim=1, descending=True)[:, :5]
    results = tuple(
        VideoResult(i, int(targets[i]), tuple(order[i].tolist()), tuple(scores[i][order[i]].tolist()))
        for i in range(90)
    )
    summary = Evaluation(labels, tuple(map(str, range(90))), results, {}).summary()
    table = confusion_matrix(targets, order[:, 0])
    assert {(row["label"], row["predicted"]): row["videos"] for row in summary["confusion"]} == {
        (labels[shown], labels[said]): count for (shown, said), count in np.ndenumerate(table) if count
    }
    assert summary["top1"] == pytest.approx(accuracy_score(targets, order[:, 0]))
    assert summary["top5"] == pytest.approx(top_k_accuracy_score(targets, scores, k=5, labels=range(7)))
    error = multiclass_calibration_error(scores, targets, num_classes=7, n_bins=15)
    assert summary["calibration"]["error"] == pytest.approx(float(error), abs=1e-6)


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
