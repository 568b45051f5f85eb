"""Accuracies, intervals, calibration and McNemar's test against simulations and other libraries."""

from __future__ import annotations

from itertools import product
from math import isnan

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from crossframe.evaluate.result import Evaluation, VideoResult
from crossframe.evaluate.statistics import (
    BINS,
    Counts,
    Group,
    calibration,
    calibration_error,
    grouped,
    interval,
    mcnemar,
    paired_interval,
)

SIMULATED = 120  # data sets


def alone(right: int, videos: int) -> list[Group]:
    """Videos of which each stands alone."""
    return [(1, 1)] * right + [(0, 1)] * (videos - right)


def pairs(gained: int, lost: int, videos: int) -> list[Group]:
    return [(1, 1)] * gained + [(-1, 1)] * lost + [(0, 1)] * (videos - gained - lost)


@pytest.mark.parametrize(("videos", "accuracy"), [(60, 0.5), (200, 0.72), (200, 0.9), (1000, 0.72), (1000, 0.97)])
def test_the_interval_covers_the_truth_as_often_as_it_says(videos: int, accuracy: float) -> None:
    rights = np.random.default_rng(1).binomial(videos, accuracy, 400).tolist()
    intervals = {right: interval(alone(right, videos)) for right in set(rights)}
    covered = np.mean([intervals[right][0] <= accuracy <= intervals[right][1] for right in rights])
    assert 0.92 <= covered <= 0.98


def test_an_interval_is_that_of_videos_drawn_again() -> None:
    hits = np.random.default_rng(2).random(150) < 0.7
    drawn = np.random.default_rng(3).choice(hits, (20_000, len(hits))).mean(axis=1)
    assert interval(alone(int(hits.sum()), len(hits))) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)


def test_the_same_counts_give_the_same_interval() -> None:
    assert interval(alone(70, 100)) == interval(alone(70, 100)[::-1])
    assert paired_interval(pairs(9, 4, 100)) == paired_interval(pairs(9, 4, 100)[::-1])


def test_all_right_and_all_wrong_are_not_certain() -> None:
    low, high = interval(alone(20, 20))
    assert high == 1.0
    assert low == pytest.approx(binomtest(20, 20).proportion_ci(method="exact").low)
    assert interval(alone(0, 20)) == pytest.approx((1 - high, 1 - low))


def test_the_paired_interval_covers_the_true_difference() -> None:
    generator = np.random.default_rng(4)
    videos, gain, loss = 300, 0.12, 0.07
    drawn = generator.multinomial(videos, [gain, loss, 1 - gain - loss], 400)[:, :2].tolist()
    intervals = [paired_interval(pairs(gained, lost, videos)) for gained, lost in drawn]
    covered = np.mean([low <= gain - loss <= high for low, high in intervals])
    assert 0.92 <= covered <= 0.98


def test_pairing_tells_what_two_intervals_cannot() -> None:
    low, high = paired_interval(pairs(gained=20, lost=4, videos=400))
    assert 0 < low < 16 / 400 < high
    assert interval(alone(300, 400))[1] > interval(alone(316, 400))[0]  # each interval alone reaches into the other
    assert paired_interval(pairs(0, 0, 400)) == (0, 0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (3, 12), (12, 3), (700, 650), (2000, 2200)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(pairs(gained, lost, gained + lost + 3)) == pytest.approx(expected)


def recorded(generator: np.random.Generator, rates: NDArray[np.float64], videos: int) -> list[int]:
    """Whether each video is right, of recordings with `videos` each, at rates of their own."""
    return generator.binomial(1, np.repeat(rates, videos)).tolist()


def test_clips_of_one_recording_are_drawn_together() -> None:
    generator = np.random.default_rng(5)
    recordings, videos, truth = 60, 6, 0.7
    names = np.repeat(np.arange(recordings), videos).tolist()
    covered = np.zeros(2)
    for _ in range(SIMULATED):
        hits = recorded(generator, generator.beta(0.7, 0.3, recordings), videos)  # most are all right or all wrong
        for place, groups in enumerate((grouped(hits, names), grouped(hits))):
            low, high = interval(groups)
            covered[place] += low <= truth <= high
    together, apart = covered / SIMULATED
    assert 0.91 <= together <= 0.98
    assert apart < 0.75  # what calling them independent would claim to be 0.95


def test_the_paired_interval_covers_with_recordings_too() -> None:
    generator = np.random.default_rng(6)
    recordings, videos = 80, 5
    names = np.repeat(np.arange(recordings), videos).tolist()
    covered = 0
    for _ in range(SIMULATED):
        rates = generator.beta(0.5, 0.5, recordings)  # on average a half; the second model has 0.1 more
        first, second = recorded(generator, 0.8 * rates, videos), recorded(generator, 0.8 * rates + 0.1, videos)
        low, high = paired_interval(grouped([b - a for a, b in zip(first, second, strict=True)], names))
        covered += low <= 0.1 <= high
    assert 0.91 <= covered / SIMULATED <= 0.98


def test_groups_are_counted_by_hand() -> None:
    assert grouped([1, 0, 1, 1], ["a", "b", "a", "b"]) == [(2, 2), (1, 2)]
    assert grouped([1, 0], None) == [(1, 1), (0, 1)]
    assert interval([(4, 4)] * 20) == interval(alone(20, 20))  # twenty recordings are twenty observations


@pytest.mark.parametrize("gains", [[3, -1, 2, 0, 2], [1, 1, -1], [4, 4, 4, 4, 4, 4], [2, -2]])
def test_the_test_of_recordings_tries_all_signs(gains: list[int]) -> None:
    observed = abs(sum(gains))
    sums = [
        sum(sign * gain for sign, gain in zip(signs, gains, strict=True))
        for signs in product((1, -1), repeat=len(gains))
    ]
    assert mcnemar([(gain, 5) for gain in gains]) == np.mean([abs(total) >= observed for total in sums])


@pytest.mark.parametrize("seed", range(5))
def test_the_calibration_error_agrees_with_torchmetrics(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = (6 * torch.rand(300, 4, generator=generator, dtype=torch.float64)).softmax(dim=1)
    targets = torch.randint(4, (300,), generator=generator)
    confidence, said = probabilities.max(dim=1)
    bins = calibration(confidence, said == targets)
    expected = multiclass_calibration_error(probabilities, targets, num_classes=4, n_bins=BINS)
    assert calibration_error(bins) == pytest.approx(float(expected), abs=1e-6)
    assert sum(part.videos for part in bins) == 300
    assert all(part.low <= part.confidence < part.high for part in bins if part.confidence is not None)


def test_a_score_on_an_edge_counts_where_a_bin_begins() -> None:
    edge = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[5]
    bins = calibration(edge.expand(1), torch.tensor([True]))
    assert [number for number, part in enumerate(bins) if part.videos] == [5]


def test_certain_answers_are_in_the_last_bin() -> None:
    bins = calibration(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([True, False, True]))
    assert [part.videos for part in bins] == [1] + [0] * (BINS - 2) + [2]
    assert (bins[-1].confidence, bins[-1].accuracy, bins[1].confidence) == (1.0, 0.5, None)
    assert calibration_error(bins) == pytest.approx((2 * 0.5 + 1) / 3)
    assert calibration_error(calibration(torch.empty(0), torch.empty(0, dtype=torch.bool))) is None


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
