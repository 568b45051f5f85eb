"""What a batch is trained for: the losses of its clips, one forward after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from crossframe.data.question import Question
from crossframe.model.xclip import XCLIP
from crossframe.train.distillation import Distillation
from crossframe.train.interpolation import Interpolation
from crossframe.train.losses import lesson_loss


@dataclass(slots=True)
class Objective:
    """The answers to a batch's questions, and what ties the model to the weights that its training started from.

    `learner` is that of `train.learner`, in the precision of the run, which `autocast` gives to what is beside it.
    """

    model: XCLIP
    learner: Callable[..., tuple[Tensor, Tensor]]
    smoothing: float
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    interpolation: Interpolation | None = None
    distillation: Distillation | None = None

    @property
    def residual(self) -> nn.Module | None:
        """What learns beside the model and is not kept."""
        return None if self.distillation is None else self.distillation.residual

    def __call__(
        self, video: Tensor, tokens: Tensor | None, text: Tensor | None, questions: Sequence[Question], number: int
    ) -> Iterator[Tensor]:
        """The loss of each clip, (B,), in terms that add up; one at a time spares memory.

        `video`: (B, T, 3, S, S). The sentences of all questions are given as ids (K, L) or as features (K, E).
        `number` is the batch's in the run.
        """
        logits, embedding = self.learner(video, tokens, text)  # (B, K), (B, E)
        loss = lesson_loss(logits, questions, self.smoothing)
        if self.distillation is not None:
            with self.autocast():
                loss = loss + self.distillation(video, embedding)
        yield loss
        if self.interpolation is not None:
            moved = partial(self.interpolation.moved, self.model, number)
            logits, _ = self.learner(video, tokens, text, moved)
            yield self.interpolation.weight * lesson_loss(logits, questions, self.smoothing)
