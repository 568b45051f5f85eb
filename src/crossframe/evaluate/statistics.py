"""How far a number can be trusted: intervals, the calibration of scores, and whether two models differ.

Intervals are percentiles of the bootstrap: the videos are drawn again, with replacement, many times. A share of videos
that are drawn again is a binomial variable and a difference of two shares a multinomial one, so these are drawn
directly. The seed is fixed: the same counts always give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SEED = 0
DRAWS = 10_000
CONFIDENCE = 0.95
BINS = 15  # of confidence, as in most papers on calibration


def interval(right: int, videos: int) -> tuple[float, float]:
    """The 95% interval of `right / videos`, from the bootstrap.

    Where all videos are right, or none, drawing them again knows no doubt: the exact binomial bound takes its place.
    """
    rest = 1 - CONFIDENCE
    if right == videos:
        return (rest / 2) ** (1 / videos), 1.0
    if right == 0:
        return 0.0, 1 - (rest / 2) ** (1 / videos)
    return _percentiles(np.random.default_rng(SEED).binomial(videos, right / videos, DRAWS) / videos)


def paired_interval(gained: int, lost: int, videos: int) -> tuple[float, float]:
    """The 95% interval of `(gained - lost) / videos`, the difference of two models on the same videos.

    `gained` are those that only the second model has right, `lost` those that only the first has right.
    """
    shares = [gained / videos, lost / videos, (videos - gained - lost) / videos]
    drawn = np.random.default_rng(SEED).multinomial(videos, shares, DRAWS)  # (DRAWS, 3)
    return _percentiles((drawn[:, 0] - drawn[:, 1]) / videos)


def mcnemar(gained: int, lost: int) -> float:
    """The p-value of McNemar's exact test, two-sided: how likely a difference this large is where there is none.

    Of the videos that only one of two models has right, each is then as likely to be the one's as the other's.
    """
    count = gained + lost
    tail = ways = 1  # whole numbers, so that nothing is rounded
    for k in range(min(gained, lost)):
        ways = ways * (count - k) // (k + 1)  # to choose k + 1 of count
        tail += ways
    return min(1.0, 2 * tail / 2**count)


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


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
