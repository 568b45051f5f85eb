"""The processes of a run: one, or several that torchrun has started, and what they do together."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch._C._distributed_c10d import TCPStore

from crossframe.evaluate.processes import tells_of_a_lost_process, this_process

TIMEOUT = timedelta(minutes=10)  # for a process that is silent, which may be saving; one that died is noticed at once
ANSWER = timedelta(seconds=10)  # for those that live to say so, when one is missed; a busy machine takes some
BUCKET = 1 << 25  # numbers that travel together


class LostProcessError(ConnectionError):
    """Another process of the run has ended."""


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
            self._notes = TCPStore(address, port, is_master=False, timeout=ANSWER)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
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
