"""Accuracies, confidence intervals, calibration, and tests of whether two models differ.

Accuracies are kept as counts, which add up over batches and processes without rounding.

Videos of one recording are not independent, so one observation is a `Group`: all videos of a recording, or a single
video where recordings are unknown.

Intervals are percentiles of the bootstrap, which resamples groups with replacement. How often groups with equal counts
are drawn is multinomial, so that is sampled directly. The seed is fixed: the same counts always give the same interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TOP = 5  # the second number of every table
SEED = 0
DRAWS = 10_000
DRAWN_AT_ONCE = 1000  # bounds memory
CONFIDENCE = 0.95
BINS = 15  # of confidence, as in most papers on calibration

Group: TypeAlias = tuple[int, int]  # a count over videos that belong together, and their number


@dataclass(frozen=True, slots=True)
class Counts:
    """For each class, its videos, and how many of them have their label in the top 1 and in the top 5.

    All int64 (K,). With fewer than five classes, the top 5 are all of them.
    """

    videos: Tensor
    first: Tensor
    in_five: Tensor

    @classmethod
    def of(cls, ranked: Tensor, targets: Tensor, num_classes: int) -> Counts:
        """Count `ranked`, int64 (B, at least min(5, K)), class indices, best first, against `targets`, int64 (B,).

        The row of a video that could not be read holds -1, which is no class: it counts as wrong.
        """
        hits = ranked[:, :TOP] == targets[:, None]  # (B, min(5, K))
        right, near = hits[:, :1].any(dim=1), hits.any(dim=1)
        return cls(*(torch.bincount(part, minlength=num_classes) for part in (targets, targets[right], targets[near])))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.videos + other.videos, self.first + other.first, self.in_five + other.in_five)

    @property
    def top1(self) -> float:
        """The share of videos whose best label is right; NaN without videos."""
        return _share(self.first.sum(), self.videos.sum())

    @property
    def top5(self) -> float:
        """The share of videos whose label is among the best five; NaN without videos."""
        return _share(self.in_five.sum(), self.videos.sum())

    @property
    def per_class(self) -> Tensor:
        """Top-1 of each class, float64 (K,); NaN for a class without videos."""
        return self.first.double() / self.videos

    @property
    def mean_class(self) -> float:
        """The mean of `per_class` over the classes that have videos."""
        return float(self.per_class.nanmean())


def _share(part: Tensor, whole: Tensor) -> float:
    return float(part.double() / whole)


def grouped(counted: Sequence[int], recordings: Sequence[Hashable] | None = None) -> list[Group]:
    """Counts per video, summed by recording; without `recordings`, every video is a group of its own."""
    totals, videos = Counter[Hashable](), Counter[Hashable]()
    for count, recording in zip(counted, range(len(counted)) if recordings is None else recordings, strict=True):
        totals[recording] += count
        videos[recording] += 1
    return [(totals[recording], videos[recording]) for recording in videos]


def interval(rights: Sequence[Group]) -> tuple[float, float]:
    """The 95% bootstrap interval of an accuracy. `rights`: how many videos of each group are right.

    Where all videos are right, or none, the bootstrap has no width: the exact binomial bound for as many groups
    replaces it.
    """
    right, videos = (sum(part) for part in zip(*rights, strict=True))
    edge = ((1 - CONFIDENCE) / 2) ** (1 / len(rights))
    if right == videos:
        return edge, 1.0
    if right == 0:
        return 0.0, 1 - edge
    return paired_interval(rights)


def paired_interval(gains: Sequence[Group]) -> tuple[float, float]:
    """The 95% interval of the difference of two models on the same videos.

    `gains`: how many videos of each group the second model has right alone, less those that only the first has.
    """
    # one order, so that the same counts draw the same numbers
    kinds = sorted(Counter(gains).items(), key=lambda kind: (-abs(kind[0][0]), -kind[0][0], kind[0][1]))
    values = np.array([kind for kind, _ in kinds], dtype=np.float64)  # (kinds, 2)
    shares = np.array([count for _, count in kinds]) / len(gains)
    generator = np.random.default_rng(SEED)
    parts = [generator.multinomial(len(gains), shares, DRAWN_AT_ONCE) @ values for _ in range(DRAWS // DRAWN_AT_ONCE)]
    totals, videos = np.concatenate(parts).T
    return percentiles(totals / videos)


def mcnemar(gains: Iterable[Group]) -> float:
    """The two-sided p-value of the difference between two models.

    If the models do not differ, the gain in each group is as likely to have the opposite sign: all sign patterns are
    enumerated, which is the exact permutation test for pairs. For groups of single videos, it is McNemar's exact test.
    """
    found = [gain for gain, _ in gains]
    ways = {0: 1}  # to reach each sum; whole numbers, so that nothing is rounded
    for size, count in Counter(abs(gain) for gain in found if gain).items():
        chosen = [1]  # ways to choose the k of `count` groups that are gains
        for k in range(count):
            chosen.append(chosen[-1] * (count - k) // (k + 1))
        longer = Counter[int]()
        for total, before in ways.items():
            for k, more in enumerate(chosen):
                longer[total + size * (2 * k - count)] += before * more
        ways = longer
    observed = abs(sum(found))
    return sum(number for total, number in ways.items() if abs(total) >= observed) / sum(ways.values())


@dataclass(frozen=True, slots=True)
class Bin:
    """The videos whose best score is from `low` to below `high`; the last bin holds 1 too.

    `confidence`: the mean of these scores, `accuracy`: how many of the videos are right; None without videos.
    """

    low: float
    high: float
    videos: int
    confidence: float | None
    accuracy: float | None


def calibration(confidence: Tensor, correct: Tensor) -> list[Bin]:
    """Bins of equal width for a reliability diagram, of best scores, float (N,) in [0, 1], and hits, bool (N,)."""
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    confidence, correct = confidence.double(), correct.double()
    place = torch.bucketize(confidence, edges[1:-1], right=True)  # (N,)
    counts, scores, hits = (
        torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, values).tolist()
        for values in (torch.ones_like(confidence), confidence, correct)
    )
    return [
        Bin(low, high, int(count), score / count if count else None, hit / count if count else None)
        for low, high, count, score, hit in zip(
            edges[:-1].tolist(), edges[1:].tolist(), counts, scores, hits, strict=True
        )
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error: how far confidence and accuracy are apart, averaged over videos; None without."""
    full = [(part.videos, part.confidence, part.accuracy) for part in bins]
    gaps = [videos * abs(said - was) for videos, said, was in full if said is not None and was is not None]
    return sum(gaps) / sum(part.videos for part in bins) if gaps else None


def resampled(count: int) -> NDArray[np.float64]:
    """How often each of `count` things is drawn in each bootstrap, (1000, count), the same every time."""
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), DRAWN_AT_ONCE)
    return drawn.astype(np.float64)


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """Where 95% of the values lie, in the middle of them; values that are not numbers are left out."""
    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
