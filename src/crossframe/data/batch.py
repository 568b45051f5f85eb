"""What a loader yields: uint8 clips, their classes, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip that could not be read: its `index` in the data set, its class `target`, and one line that says why."""

    index: int
    target: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B clips that could be read, and those of the same batch that could not.

    `videos`: uint8 (T, 3, H, W) for each clip, in a list, of any sizes, or as one tensor (B, T, 3, H, W). Clips read
    for several temporal views have these one after the other: T = views * frames.
    `targets`: int64 (B,), class indices. `indices`: int64 (B,), places in the data set.
    `failures` appear in none of the others. Training counts them and goes on; evaluation counts them as wrong.
    """

    videos: list[Tensor] | Tensor
    targets: Tensor
    indices: Tensor
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.videos) == len(self.targets) == len(self.indices):
            counts = len(self.videos), len(self.targets), len(self.indices)
            raise ValueError(f"a batch has {counts} videos, targets and indices; give as many of each")

    def __len__(self) -> int:
        return len(self.targets)
