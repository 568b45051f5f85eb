"""From decoded clips to model input: augmentation and mixup, where the recipe asks for them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from crossframe.data.batch import Task, TrainBatch
from crossframe.distributed import Processes
from crossframe.model.layers import to_device
from crossframe.model.xclip import XCLIP
from crossframe.train.exchange import plan_exchange
from crossframe.train.mixup import Mixup
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
