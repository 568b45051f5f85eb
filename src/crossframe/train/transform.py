"""From decoded clips to model input: augmentation and mixing, where the recipe asks for them.

Mixup and cutmix give each clip of a batch a part of another clip, and the same part of its target. Labels are smoothed
in the loss, as without mixing: smoothing and mixing are both linear, so their order does not matter.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, sqrt

import torch
from torch import Tensor

from crossframe.data.batch import Task, TrainBatch
from crossframe.distributed import Processes
from crossframe.model.geometry import Box
from crossframe.model.layers import to_device
from crossframe.model.xclip import XCLIP
from crossframe.video.augment import Augment


@dataclass(frozen=True, slots=True)
class TrainTransform:
    """Turns clips into model input on the model's device: the centre view, or one drawn by `augment`, then `mixup`.

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
        clips: list[list[int]] = self.processes.gather(batch.clips.indices.tolist())
        mix = self.mixup.draw(sum(map(len, clips)), video.shape[-1], random.Random(f"mix/{self.seed}/{number}"))
        partners = plan_exchange(clips, mix.partners, self.processes.rank)

        def mixed(task: Task) -> Task:
            targets = to_device(task.targets, video.device)
            return replace(task, targets=mix.targets(targets, partners(targets, self.processes)))

        return mix.videos(video, partners(video, self.processes)), tuple(mixed(task) for task in batch.tasks)

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
class Mix:
    """One draw for a batch: clip i keeps `share` of itself, and the rest is of clip `partners[i]`.

    Without a `box` the pixels are blended (mixup). With one, the partner's pixels fill it in all frames (cutmix), and
    `share` is the part of the picture outside it.
    """

    partners: tuple[int, ...]
    share: float
    box: Box | None = None

    def videos(self, videos: Tensor, others: Tensor | None = None) -> Tensor:
        """(B, T, 3, S, S) -> the same shape; the input stays as it is. `others`: the partners, if given already."""
        others = videos[list(self.partners)] if others is None else others
        if self.box is None:
            return self.share * videos + (1 - self.share) * others
        left, top, right, bottom = self.box
        mixed = videos.clone()
        mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return mixed

    def targets(self, targets: Tensor, others: Tensor | None = None) -> Tensor:
        """Target distributions over K texts, (B, K) -> (B, K)."""
        others = targets[list(self.partners)] if others is None else others
        return self.share * targets + (1 - self.share) * others


@dataclass(frozen=True, slots=True)
class Mixup:
    """The paper's mixing: a batch is cut with probability `switch` and blended otherwise, never neither.

    The shares come from Beta(a, a), where a is `mixup` or `cutmix`: small for one clip that prevails, 1 for all shares
    alike. As in the authors' code, one draw serves a whole batch, and a clip may be its own partner.
    """

    mixup: float = 0.8
    cutmix: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not (isfinite(alpha) and alpha > 0):
                raise ValueError(f"an alpha of {alpha} for {name} is not possible; use a number above 0")
        if not 0 <= self.switch <= 1:
            raise ValueError(f"a switch of {self.switch} is no probability; use 0 (only mixup) to 1 (only cutmix)")

    def draw(self, clips: int, size: int, generator: random.Random) -> Mix:
        """A draw for a batch of `clips` clips whose frames have side `size`."""
        cut = generator.random() < self.switch
        alpha = self.cutmix if cut else self.mixup
        share = generator.betavariate(alpha, alpha)
        partners = tuple(generator.sample(range(clips), clips))
        if not cut:
            return Mix(partners, share)
        box = cut_box(size, share, generator.randrange(size), generator.randrange(size))
        left, top, right, bottom = box
        return Mix(partners, 1 - (right - left) * (bottom - top) / size**2, box)


def cut_box(size: int, share: float, x: int, y: int) -> Box:
    """The square around (x, y) that leaves `share` of a picture of side `size`, cut off at the picture's edges.

    What is cut off, and sides that are rounded down to an even number, leave more than `share`; labels follow the box
    and not the share that was drawn.

    >>> cut_box(224, 0.75, 112, 10)
    (56, 0, 168, 66)
    """
    half = int(size * sqrt(1 - share)) // 2
    return max(x - half, 0), max(y - half, 0), min(x + half, size), min(y + half, size)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one process sends and receives, so that each of its clips meets its partner.

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


def plan_exchange(clips: Sequence[Sequence[int]], partners: Sequence[int], rank: int) -> Exchange:
    """The exchange of process `rank`, where process p has the clips `clips[p]`, by their places in the data set.

    Partners are drawn for all clips in the order of the data set: clip number i of these meets clip number
    `partners[i]`. So it does not matter how the clips came to their processes.

    >>> plan_exchange([[30, 10], [20]], [1, 2, 0], rank=0)  # 10 meets 20, 20 meets 30, 30 meets 10
    Exchange(rows=(1, 0), sent=(1, 1), received=(1, 1), places=(0, 1))
    """
    world = len(clips)
    ordered = sorted((clip, owner, row) for owner, own in enumerate(clips) for row, clip in enumerate(own))
    partner = {ordered[i][1:]: ordered[other][1:] for i, other in enumerate(partners)}
    needs = [[partner[owner, row] for row in range(len(own))] for owner, own in enumerate(clips)]  # by process
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
