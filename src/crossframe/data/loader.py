"""Batches of decoded clips, read ahead by other processes.

Which clips make which batch is decided by pure functions, so that every process knows all batches without being told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, tee
from math import ceil

import torch

from crossframe.data.batch import Batch, Failure
from crossframe.data.manifest import Manifest
from crossframe.data.reader import Job, Sampling, read_clip
from crossframe.video.decode import Frames
from crossframe.video.exact import Decoded
from crossframe.video.given import VideoError, limits_here
from crossframe.video.isolate import Readers, Worker


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
        self._clips = _Clips(sampling, short_side, workers)

    def __len__(self) -> int:
        """Batches in an epoch, the same in every process."""
        return ceil(len(self.manifest) / self.batch_size)

    def epoch(self, number: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of epoch `number` from batch `start` on, where an interrupted epoch is taken up again, and before
        batch `stop`.

        Where there are more processes than clips in the last batch, the shares of some are empty.
        """
        rank, world = self.process
        order = shuffled(len(self.manifest), self.seed, number)
        batches = training_batches(order, self.batch_size, rank=rank, world=world)
        return self._clips.read(_jobs(self.manifest, self._targets, batches[start:stop], draw=(self.seed, number)))


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
        self._clips = _Clips(sampling, short_side, workers)

    def __len__(self) -> int:
        """Groups of this process."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Batch]:
        draw = (0, 0) if self.sampling.draws_tests else None
        return self._clips.read(_jobs(self.manifest, self._targets, self._groups, draw))


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


class _Clips:
    """The clips of jobs, read ahead by `workers` processes, or with none of them here, when they are asked for.

    A file may cost what it may in the process that makes this (`given.set_limits`); one that is worse is a failure.
    """

    def __init__(self, sampling: Sampling, short_side: int | None, workers: int) -> None:
        self._how = sampling, short_side
        self._limits = limits_here()
        self._readers = Readers(workers, self._limits) if workers else None

    def read(self, batches: Iterable[list[Job]]) -> Iterator[Batch]:
        """Each batch of jobs, with two of them read ahead."""
        batches = iter(batches)
        first = list(islice(batches, 1))
        now, later = tee(chain(first, batches))
        jobs = (job for batch in now for job in batch)
        if self._readers is None:
            clips = map(self._read_here, jobs)
        else:
            clips = self._readers.map(self._read_there, jobs, ahead=2 * sum(map(len, first)))
        try:
            for batch in later:
                yield _batch(batch, list(islice(clips, len(batch))))
        finally:
            if isinstance(clips, Generator):
                clips.close()

    def _read_here(self, job: Job) -> Frames | VideoError:
        try:
            return _tensors(read_clip(job, *self._how, limits=self._limits))
        except VideoError as error:
            return error

    def _read_there(self, worker: Worker, job: Job) -> Frames | VideoError:
        answer = worker.read((str(job.path), read_clip, (job, *self._how), {}))
        return answer if isinstance(answer, VideoError) else _tensors(answer)


def _tensors(decoded: Decoded) -> Frames:
    """With pixels in memory from which a GPU can copy while the processor goes on."""
    frames = Frames.from_arrays(decoded)
    return replace(frames, pixels=frames.pixels.pin_memory()) if torch.cuda.is_available() else frames


def _batch(jobs: list[Job], clips: list[Frames | VideoError]) -> Batch:
    pairs = list(zip(jobs, clips, strict=True))
    read = [(job, clip) for job, clip in pairs if isinstance(clip, Frames)]
    return Batch(
        [clip.pixels for _, clip in read],
        torch.tensor([job.target for job, _ in read], dtype=torch.int64),
        torch.tensor([job.index for job, _ in read], dtype=torch.int64),
        tuple(Failure(job.index, job.target, str(clip)) for job, clip in pairs if isinstance(clip, VideoError)),
        frozenset(job.index for job, clip in read if clip.damaged.any() or clip.missing),
    )
