"""What the learner sees of a lesson: its clips as model input, changed by chance where the recipe says so."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from crossframe.data.question import Lesson, Question
from crossframe.model.xclip import XCLIP
from crossframe.train.exchange import plan
from crossframe.train.mixing import Mixing
from crossframe.train.processes import Processes
from crossframe.video.augment import Augment
from crossframe.video.transform import Preprocess


@dataclass(frozen=True, slots=True)
class Pictures:
    """Prepares clips on the model's device: the centre view, or a random one by `augment`, and mixed by `mixing`.

    Chance depends on the seed, the batch's number in the run and the clip's place in the data set alone, so a resumed
    run sees the same, and many processes see what one would: partners are drawn among the clips of all of them.
    """

    model: XCLIP
    augment: Augment | None = None
    mixing: Mixing | None = None
    seed: int = 0
    processes: Processes = field(default_factory=Processes)

    def __call__(self, lesson: Lesson, number: int) -> tuple[Tensor, tuple[Question, ...]]:
        """Batch `number` of the run: float (B, T, 3, S, S), and its questions with the answers to what is seen."""
        video = self._views(lesson, number)
        if self.mixing is None:
            return video, lesson.questions
        clips: list[list[int]] = self.processes.gather(lesson.batch.indices.tolist())
        mix = self.mixing.draw(sum(map(len, clips)), video.shape[-1], random.Random(f"mix/{self.seed}/{number}"))
        partner = plan(clips, mix.partners, self.processes.rank)

        def mixed(question: Question) -> Question:
            targets = question.targets.to(video.device)
            return replace(question, targets=mix.targets(targets, partner(targets, self.processes)))

        return mix.videos(video, partner(video, self.processes)), tuple(mixed(q) for q in lesson.questions)

    def _views(self, lesson: Lesson, number: int) -> Tensor:
        clips, preprocess = lesson.batch.videos, self.model.preprocess
        if not len(lesson):
            size = self.model.config.vision.image_size
            return torch.empty(0, self.model.config.num_frames, 3, size, size, device=self.model.device)
        if self.augment is None:
            return self.model.prepare(clips)
        if not isinstance(preprocess, Preprocess):
            raise ValueError(
                "this model has no preprocessing whose pictures could be augmented; set train.augment=null"
            )
        places = lesson.batch.indices.tolist()
        chances = [random.Random(f"augment/{self.seed}/{number}/{place}") for place in places]
        return self.augment(clips, preprocess, chances, self.model.device)
