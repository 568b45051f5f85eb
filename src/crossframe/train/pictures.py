"""What the learner sees of a lesson: its clips as model input, changed by chance where the recipe says so."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crossframe.data.question import Lesson, Question
from crossframe.model.xclip import XCLIP
from crossframe.train.mixing import Mixing
from crossframe.video.augment import Augment
from crossframe.video.transform import Preprocess


@dataclass(frozen=True, slots=True)
class Pictures:
    """Prepares clips on the model's device: the centre view, or a random one by `augment`, and mixed by `mixing`.

    Chance depends on the seed, the batch's number in the run and the clip's place in the data set alone, so a resumed
    run sees the same.
    """

    model: XCLIP
    augment: Augment | None = None
    mixing: Mixing | None = None
    seed: int = 0

    def __call__(self, lesson: Lesson, number: int) -> tuple[Tensor, tuple[Question, ...]]:
        """Batch `number` of the run: float (B, T, 3, S, S), and its questions with the answers to what is seen."""
        video = self._views(lesson, number)
        if self.mixing is None:
            return video, lesson.questions
        mix = self.mixing.draw(len(lesson), video.shape[-1], random.Random(f"mix/{self.seed}/{number}"))
        # Partners are drawn for the clips in the order of the data set: how they came to be in this batch must not
        # matter.
        order = lesson.batch.indices.argsort()
        others = torch.empty_like(order)
        others[order] = order[list(mix.partners)]
        questions = [replace(q, targets=mix.targets(q.targets, q.targets[others])) for q in lesson.questions]
        return mix.videos(video, video[others.to(video.device)]), tuple(questions)

    def _views(self, lesson: Lesson, number: int) -> Tensor:
        clips, preprocess = lesson.batch.videos, self.model.preprocess
        if self.augment is None:
            return self.model.prepare(clips)
        if not isinstance(preprocess, Preprocess):
            raise ValueError(
                "this model has no preprocessing whose pictures could be augmented; set train.augment=null"
            )
        places = lesson.batch.indices.tolist()
        chances = [random.Random(f"augment/{self.seed}/{number}/{place}") for place in places]
        return self.augment(clips, preprocess, chances, self.model.device)
