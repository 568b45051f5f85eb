"""Accuracies as counts, which add up over batches and processes without rounding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOP = 5  # the second number of every table


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
