"""From decoded clips to model input: augmentation and mixing, where the recipe asks for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from crossframe.data.batch import Task, TrainBatch
from crossframe.distributed import Processes
from crossframe.model.preprocess import to_device
from crossframe.model.xclip import XCLIP
from crossframe.video.draws import Augment
from crossframe.video.mixing import Mix, Mixup


@dataclass(frozen=True, slots=True)
class TrainTransform:
    """Turns clips into model input on the model's device: the center view, or one drawn by `augment`, then `mixup`.

    What is drawn depends only on the seed, the batch's number in the run and the clip's place in the data set. So a
    resumed run sees the same, and several processes see what one would: partners come from all of them.
    """

    model: XCLIP
    augment: Augment | None = None
    mixup: Mixup | None = None
    seed: int = 0
    processes: Processes = field(default_factory=Processes)

    def __call__(self, batch: TrainBatch, number: int) -> tuple[Tensor, tuple[Task, ...]]:
        """Batch `number` of the run: float (B, T, 3, S, S), and its tasks with the targets mixed alike."""
        video = self._views(batch, number)
        if self.mixup is None:
            return video, batch.tasks
        mixing = self._mixing(self.mixup, batch, video.shape[-1], number)
        return mixing(video, Mix.videos), tuple(
            replace(task, targets=mixing(to_device(task.targets, video.device), Mix.targets)) for task in batch.tasks
        )

    def _mixing(self, mixup: Mixup, batch: TrainBatch, size: int, number: int) -> _Mixing:
        clips: list[list[int]] = self.processes.gather(batch.clips.indices.tolist())
        draws = mixup.draws(sum(map(len, clips)), size, random.Random(f"mix/{self.seed}/{number}"))
        partners = {
            own: numbers[other] for numbers, mix in draws for own, other in zip(numbers, mix.partners, strict=True)
        }
        exchange = plan_exchange(clips, [partners[own] for own in sorted(partners)], self.processes.rank)
        mine = {clip: row for row, clip in enumerate(numbered(clips)[self.processes.rank])}
        rows = [([mine[clip] for clip in numbers if clip in mine], mix) for numbers, mix in draws]
        return _Mixing(tuple(rows), exchange, self.processes)

    def _views(self, batch: TrainBatch, number: int) -> Tensor:
        clips, preprocess = batch.clips.videos, self.model.preprocess
        if not len(batch):
            size = self.model.config.vision.image_size
            return torch.empty(0, self.model.config.num_frames, 3, size, size, device=self.model.device)
        if self.augment is None:
            return self.model.prepare(clips)
        places = batch.clips.indices.tolist()
        chances = [random.Random(f"augment/{self.seed}/{number}/{place}") for place in places]
        return self.augment(clips, preprocess, chances, self.model.device)


@dataclass(frozen=True, slots=True)
class _Mixing:
    """The mixing of this process's share of a batch: rows with the draw of their group."""

    draws: tuple[tuple[list[int], Mix], ...]
    exchange: Exchange
    processes: Processes

    def __call__(self, values: Tensor, apply: Callable[[Mix, Tensor, Tensor], Tensor]) -> Tensor:
        """Videos or targets, one row for each clip -> the same, mixed by `Mix.videos` or `Mix.targets`."""
        others = self.exchange(values, self.processes)
        if len(self.draws) == 1:
            return apply(self.draws[0][1], values, others)
        mixed = torch.empty_like(values)
        for rows, mix in self.draws:
            place = to_device(torch.tensor(rows, dtype=torch.int64), values.device)
            mixed[place] = apply(mix, values[place], others[place])
        return mixed


@dataclass(frozen=True, slots=True)
class Exchange:
    """The clips that one process sends and receives, so that each of its clips meets its partner.

    `rows`: its clips, in the order of the processes they are sent to; `sent`: how many go to each; `received`: how many
    come from each; `places`: for each of its own clips, where its partner is among those received.
    """

    rows: tuple[int, ...]
    sent: tuple[int, ...]
    received: tuple[int, ...]
    places: tuple[int, ...]

    def __call__(self, values: Tensor, processes: Processes) -> Tensor:
        """One row for each clip of this process -> the rows of their partners."""
        rows, places = (to_device(torch.tensor(n, dtype=torch.int64), values.device) for n in (self.rows, self.places))
        return processes.all_to_all(values[rows], self.sent, self.received)[places]


def numbered(clips: Sequence[Sequence[int]]) -> list[list[int]]:
    """The clips of each process, by their places in the data set -> by their numbers within the batch in that order.

    >>> numbered([[30, 10], [20]])
    [[2, 0], [1]]
    """
    ordered = sorted((clip, owner, row) for owner, own in enumerate(clips) for row, clip in enumerate(own))
    numbers = {place[1:]: number for number, place in enumerate(ordered)}
    return [[numbers[owner, row] for row in range(len(own))] for owner, own in enumerate(clips)]


def plan_exchange(clips: Sequence[Sequence[int]], partners: Sequence[int], rank: int) -> Exchange:
    """The exchange of process `rank`, where process p has the clips `clips[p]`, by their places in the data set.

    Partners are drawn for all clips in the order of the data set: clip number i of these meets clip number
    `partners[i]`. So it does not matter how the clips came to their processes.

    >>> plan_exchange([[30, 10], [20]], [1, 2, 0], rank=0)  # 10 meets 20, 20 meets 30, 30 meets 10
    Exchange(rows=(1, 0), sent=(1, 1), received=(1, 1), places=(0, 1))
    """
    world, numbers = len(clips), numbered(clips)
    found = {number: (owner, row) for owner, own in enumerate(numbers) for row, number in enumerate(own)}
    needs = [[found[partners[number]] for number in own] for own in numbers]  # by process: the partner of each clip
    rows = [[row for owner, row in needs[needer] if owner == rank] for needer in range(world)]
    mine = needs[rank]
    came = sorted(range(len(mine)), key=lambda own: mine[own][0])  # by sender, then in the order of one's own clips
    places = [0] * len(mine)
    for place, own in enumerate(came):
        places[own] = place
    return Exchange(
        tuple(row for part in rows for row in part),
        tuple(len(part) for part in rows),
        tuple(sum(owner == sender for owner, _ in mine) for sender in range(world)),
        tuple(places),
    )
