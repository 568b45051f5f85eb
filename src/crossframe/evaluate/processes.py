"""Several processes that share an evaluation: torchrun starts them, and the first one writes."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from crossframe.torchrun import launched

T = TypeVar("T")

BROKEN = re.compile(r"gloo|nccl|store|connection|peer", re.IGNORECASE)  # in what torch says of a lost process
PATIENCE = timedelta(hours=12)  # of processes that have evaluated their share; one that died is noticed at once


def this_process() -> tuple[int, int]:
    """(rank, world size) in torch.distributed; (0, 1) before it is initialised, and without it."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def from_all_processes(mine: list[T]) -> list[T]:
    """The lists of all processes in torch.distributed, concatenated by rank."""
    _, world = this_process()
    if world == 1:
        return mine
    parts: list[Any] = [None] * world
    dist.all_gather_object(parts, mine)
    return [result for part in parts for result in part]


def check_gpus() -> None:
    """Raise ValueError, in one line, where torchrun started more processes than this machine has GPUs, but some."""
    gpus, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if launched()[1] > 1 and 0 < gpus < local:
        raise ValueError(
            f"{local} processes were started, and {gpus} {'GPU is' if gpus == 1 else 'GPUs are'} here; use torchrun "
            f"--nproc-per-node={gpus}, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )


@contextmanager
def joined() -> Generator[bool]:
    """Connect the processes that torchrun started, if it did; yields whether this one writes.

    Each process takes the GPU of its own local rank, if there are any. Only results travel, between the hosts, and they
    wait long for the slowest process. Inside, an error of a broken connection becomes a ConnectionError of one line.
    """
    if launched()[1] == 1:
        yield True
        return
    check_gpus()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield this_process()[0] == 0
    except RuntimeError as error:
        if not tells_of_a_lost_process(error):
            raise
        raise ConnectionError("another process has ended; see what it said, and start again") from error
    finally:
        dist.destroy_process_group()


def tells_of_a_lost_process(error: Exception) -> bool:
    """Whether this is what torch.distributed raises where another process has ended."""
    # Errors of other kinds, such as too little memory, have types of their own.
    kinds = (RuntimeError, ConnectionError, dist.DistBackendError, dist.DistNetworkError)
    return type(error) in kinds and BROKEN.search(str(error)) is not None
