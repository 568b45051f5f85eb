"""Batches of decoded clips, read ahead by other processes.

Which clips make which batch is decided by pure functions, so that every process knows all batches without being told.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from crossframe.data.batch import Batch, Failure
from crossframe.data.manifest import Manifest
from crossframe.data.reader import ClipReader, Job, ReadClip, Sampling
from crossframe.processes import leave_signals_to_parent, starting_workers
from crossframe.video.media import read_beside_others


class TrainLoader:
    """Random draws from shuffled clips: `for batch in loader.epoch(3)`.

    `batch_size` counts the clips of one step over all processes, and `process` is (rank, world); so the same seed gives
    the same steps on any number of processes. Larger frames are scaled down to `short_side` as they are decoded.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: Sampling,
        batch_size: int,
        *,
        seed: int = 0,
        short_side: int | None = None,
        workers: int = 0,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        if not len(manifest):
            raise ValueError("there are no clips to train on; give a manifest with at least one")
        self.manifest = manifest
        self.batch_size = batch_size
        self.seed = seed
        self.process = process
        self._targets = manifest.targets()
        self._workers = _Workers(ClipReader(sampling, short_side), workers)

    def __len__(self) -> int:
        """Batches in an epoch, the same in every process."""
        return ceil(len(self.manifest) / self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` from batch `start` on: where an interrupted epoch is taken up again.

        Where there are more processes than clips in the last batch, the shares of some are empty.
        """
        rank, world = self.process
        order = shuffled(len(self.manifest), self.seed, number)
        batches = training_batches(order, self.batch_size, rank=rank, world=world)
        return self._workers.read(_jobs(self.manifest, self._targets, batches[start:], draw=(self.seed, number)))


class EvalLoader:
    """The fixed frames of every clip, once, in groups that do not depend on the number of processes.

    Where `sampling` has the authors' draws in their place, those depend on the clip's place in the manifest alone.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: Sampling,
        batch_size: int = 8,
        *,
        short_side: int | None = None,
        workers: int = 0,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.manifest = manifest
        self.sampling = sampling
        self._targets = manifest.targets()
        self._groups = evaluation_batches(len(manifest), batch_size, rank=process[0], world=process[1])
        self._workers = _Workers(ClipReader(sampling, short_side), workers)

    def __len__(self) -> int:
        """Groups of this process."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Batch]:
        draw = (0, 0) if self.sampling.draws_tests else None
        return self._workers.read(_jobs(self.manifest, self._targets, self._groups, draw))


def _jobs(
    manifest: Manifest, targets: Sequence[int], batches: Iterable[list[int]], draw: tuple[int, int] | None = None
) -> Iterator[list[Job]]:
    for batch in batches:
        clips = [(index, manifest.clips[index]) for index in batch]
        yield [Job(manifest.locate(clip), index, targets[index], clip.start, clip.end, draw) for index, clip in clips]


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
    """The batches that process `rank` of `world` evaluates: every `world`-th group of `batch_size` neighbors.

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


class _Workers:
    """A torch DataLoader whose worker processes persist, with new jobs to read each epoch."""

    def __init__(self, reader: ClipReader, workers: int) -> None:
        self._plan = _Plan()
        with warnings.catch_warnings():  # more workers than cores wait for files and disks: that is what is wanted
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            self._loader: DataLoader[ReadClip | Failure] = DataLoader(
                reader,
                batch_sampler=self._plan,
                num_workers=workers,
                collate_fn=_pack,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=_prepare_worker,
                persistent_workers=workers > 0,
                generator=torch.Generator(),  # it seeds its workers, and must not draw that from everybody's generator
            )

    def read(self, jobs: Iterable[list[Job]]) -> Iterator[Batch]:
        self._plan.jobs = jobs
        with starting_workers():
            batches = iter(self._loader)
        for packed in batches:
            yield packed.unpack()


class _Plan:
    """The DataLoader's batch sampler."""

    def __init__(self) -> None:
        self.jobs: Iterable[list[Job]] = ()

    def __iter__(self) -> Iterator[list[Job]]:
        return iter(self.jobs)


@dataclass(slots=True)
class _Packed:
    """A batch in transit between processes: all pixels in one tensor, since each tensor costs an open file."""

    pixels: Tensor  # uint8, flat, in the order of memory: frames, rows, columns, colors
    shapes: list[torch.Size]
    indices: list[int]
    targets: list[int]
    failures: tuple[Failure, ...]

    def pin_memory(self) -> _Packed:
        self.pixels = self.pixels.pin_memory()
        return self

    def unpack(self) -> Batch:
        flat = self.pixels.split([prod(shape) for shape in self.shapes])
        videos = [part.view(shape).permute(0, 3, 1, 2) for part, shape in zip(flat, self.shapes, strict=True)]
        return Batch(
            videos,
            torch.tensor(self.targets, dtype=torch.int64),
            torch.tensor(self.indices, dtype=torch.int64),
            self.failures,
        )


def _pack(results: list[ReadClip | Failure]) -> _Packed:
    clips = [result for result in results if isinstance(result, ReadClip)]
    pixels = [clip.pixels.permute(0, 2, 3, 1) for clip in clips]  # (T, H, W, 3)
    return _Packed(
        pixels=torch.cat([frames.flatten() for frames in pixels]) if pixels else torch.empty(0, dtype=torch.uint8),
        shapes=[frames.shape for frames in pixels],
        indices=[clip.index for clip in clips],
        targets=[clip.target for clip in clips],
        failures=tuple(result for result in results if isinstance(result, Failure)),
    )


def _prepare_worker(_number: int) -> None:
    leave_signals_to_parent()
    read_beside_others()
    sys.excepthook = _report_unless_parent_left
    logging.getLogger("crossframe.video").setLevel(logging.ERROR)  # or every epoch would repeat every warning
    gc.freeze()  # what was inherited from the parent stays shared with it: the collector would write to every page


def _report_unless_parent_left(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A parent that ends while it is being handed a batch breaks the connection, and that is no news."""
    if not issubclass(kind, ConnectionError):
        sys.__excepthook__(kind, error, trace)
