"""Several processes that work together: torchrun starts them, the first one writes, and a lost one is noticed."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from crossframe.processes import launched

T = TypeVar("T")

BROKEN = re.compile(r"gloo|nccl|store|connection|peer", re.IGNORECASE)  # in what torch says of a lost process
PATIENCE = timedelta(hours=12)  # of processes that have evaluated their share; one that died is noticed at once
TIMEOUT = timedelta(minutes=10)  # for a process of a run that is silent, which may be saving
ANSWER = timedelta(seconds=10)  # for those that live to say so, when one is missed; a busy machine takes some
BUCKET = 1 << 25  # numbers that travel together


class LostProcessError(ConnectionError):
    """Another process has ended."""


def this_process() -> tuple[int, int]:
    """(rank, world size) in torch.distributed; (0, 1) before it is initialized, and without it."""
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
    wait long for the slowest process. Inside, an error of a broken connection becomes a `LostProcessError` of one line.
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
        raise LostProcessError("another process has ended; see what it said, and start again") from error
    finally:
        dist.destroy_process_group()


def tells_of_a_lost_process(error: Exception) -> bool:
    """True if this is what torch.distributed raises where another process has ended."""
    # Errors of other kinds, such as too little memory, have types of their own.
    kinds = (RuntimeError, ConnectionError, dist.DistBackendError, dist.DistNetworkError)
    return type(error) in kinds and BROKEN.search(str(error)) is not None


class Processes:
    """This process, `rank` of `world`, and the collective operations of the run, which all processes call together.

    Counts and objects travel over gloo, between the hosts: they wait for no GPU, and all others notice at the next step
    when a process dies.
    """

    def __init__(self) -> None:
        self.rank, self.world = this_process()
        self._hosts: Any = None
        if self.world > 1:
            self._hosts = dist.new_group(backend="gloo", timeout=TIMEOUT)
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            self._notes = dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage] - documented, though not exported in so many words
                address, port, is_master=False, timeout=ANSWER
            )

    @property
    def first(self) -> bool:
        """True if this process is the one that writes."""
        return self.rank == 0

    def sum(self, *values: int) -> list[int]:
        """The sums over all processes."""
        totals = torch.tensor(values, dtype=torch.int64)
        if self.world > 1:
            dist.all_reduce(totals, group=self._hosts)
        return totals.tolist()

    def wait(self) -> None:
        """A barrier: return when all processes are here."""
        self.sum(0)

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def sum_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes, in place.

        They are sent in the order given, so that a resumed run adds in the same order and gets the same bits.
        """
        if self.world == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def all_to_all(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Send the first `sent[0]` rows to process 0, the next to process 1 ...; returns those received, by sender."""
        if self.world == 1:
            return rows
        result = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(result, rows.contiguous(), list(received), list(sent))
        return result

    @contextmanager
    def watched(self) -> Generator[None]:
        """Inside, an error of a broken connection becomes a `LostProcessError` that names who is missing."""
        try:
            yield
        except (RuntimeError, ConnectionError) as error:
            if self.world == 1 or not tells_of_a_lost_process(error):
                raise
            raise LostProcessError(
                f"{self._missing()} of {self.world} has ended; see what it said last, then go on with --resume"
            ) from error

    def _missing(self) -> str:
        keys = [f"crossframe/alive/{rank}" for rank in range(self.world)]
        try:
            self._notes.set(keys[self.rank], "yes")
            with suppress(dist.DistStoreError):
                self._notes.wait(keys, ANSWER)
            lost = [str(rank) for rank, key in enumerate(keys) if not self._notes.check([key])]
        except RuntimeError:  # the first process keeps the notes, or the one that started it
            lost = ["0"]
        return f"process {' and '.join(lost)}" if lost else "a process"


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and (sum(t.numel() for t in bucket) + tensor.numel() > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
