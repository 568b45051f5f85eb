"""Which clips make which batch: pure functions, so that every process knows all batches without communication."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def training_batches(order: Sequence[int], batch_size: int, *, rank: int = 0, world: int = 1) -> list[list[int]]:
    """The batches of one epoch for process `rank` of `world`: its share of every global batch of `batch_size` clips.

    Every clip is in exactly one batch of one process, and all processes have the same number of batches; in the last,
    incomplete one the shares differ by at most one clip and may be empty.

    >>> training_batches(range(7), 4, rank=0, world=2), training_batches(range(7), 4, rank=1, world=2)
    ([[0, 2], [4, 6]], [[1, 3], [5]])
    """
    _check(batch_size, rank, world)
    return [list(order[start : start + batch_size][rank::world]) for start in range(0, len(order), batch_size)]


def evaluation_batches(count: int, batch_size: int, *, rank: int = 0, world: int = 1) -> list[list[int]]:
    """The batches that process `rank` of `world` evaluates: every `world`-th group of `batch_size` neighbours.

    Groups are the same for any number of processes, and so are their results, to the last bit.

    >>> evaluation_batches(7, 2, rank=0, world=2), evaluation_batches(7, 2, rank=1, world=2)
    ([[0, 1], [4, 5]], [[2, 3], [6]])
    """
    _check(batch_size, rank, world)
    groups = [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]
    return groups[rank::world]


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The order of the clips in an epoch, which depends only on (seed, epoch)."""
    name = hashlib.sha256(f"order/{seed}/{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(name[:7], "big"))
    return torch.randperm(count, generator=generator).tolist()


def _check(batch_size: int, rank: int, world: int) -> None:
    if batch_size < 1:
        raise ValueError(f"a batch of {batch_size} clips is not possible; use 1 or more")
    if not 0 <= rank < world:
        raise ValueError(f"process {rank} of {world} does not exist; processes count from 0")
