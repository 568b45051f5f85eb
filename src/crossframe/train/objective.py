"""The loss of a batch: its tasks, and what keeps the model near the weights that training started from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from crossframe.data.batch import Task
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Recipe, Train
from crossframe.train.distillation import Distillation
from crossframe.train.interpolation import Interpolation, pretrained_values
from crossframe.train.losses import batch_loss

Autocast = Callable[[], AbstractContextManager[object]]


@dataclass(slots=True)
class Objective:
    """The losses of a batch's tasks, and the terms that need the pretrained weights, where they are asked for.

    `learner` is `train.learner.Learner` in the precision of the run, which `autocast` gives to everything else.
    """

    model: XCLIP
    learner: Callable[..., tuple[Tensor, Tensor]]
    smoothing: float
    autocast: Autocast = nullcontext
    interpolation: Interpolation | None = None
    distillation: Distillation | None = None

    @property
    def residual(self) -> nn.Module | None:
        """What is trained beside the model and not saved with it."""
        return None if self.distillation is None else self.distillation.residual

    def __call__(
        self, video: Tensor, tokens: Tensor | None, text: Tensor | None, tasks: Sequence[Task], number: int
    ) -> Iterator[Tensor]:
        """The loss of each clip, (B,), as terms to be added; going backward from one at a time saves memory.

        `video`: (B, T, 3, S, S). The texts of all tasks come as token ids (K, L) or as features (K, E). `number`: of
        the batch in the run.
        """
        logits, embedding = self.learner(video, tokens, text)  # (B, K), (B, E)
        loss = batch_loss(logits, tasks, self.smoothing)
        if self.distillation is not None:
            with self.autocast():
                loss = loss + self.distillation(video, embedding)
        yield loss
        if self.interpolation is not None:
            moved = partial(self.interpolation.moved, self.model, number)
            logits, _ = self.learner(video, tokens, text, moved)
            yield self.interpolation.weight * batch_loss(logits, tasks, self.smoothing)


def build_objective(
    train: Train,
    model: XCLIP,
    learner: Callable[..., tuple[Tensor, Tensor]],
    autocast: Autocast,
    pretrained: XCLIP | None = None,
) -> Objective:
    """The objective of a recipe. `pretrained`: the weights of `pretrained_source`, on the model's device.

    Draws from torch's random generator.
    """
    objective = Objective(model, learner, train.label_smoothing, autocast)
    if pretrained is not None and train.interpolate is not None:
        values = pretrained_values(model, pretrained)
        objective.interpolation = Interpolation(values, train.interpolate.weight, train.interpolate.up_to, train.seed)
    if pretrained is not None and train.distill is not None:
        with model.device:  # made there: meta tensors cannot always be moved
            objective.distillation = Distillation(pretrained, model, train.distill.weight)
    return objective


def pretrained_source(recipe: Recipe) -> str | None:
    """The weights that training starts from, where its objective needs them; None where it does not."""
    if recipe.train.interpolate is None and recipe.train.distill is None:
        return None
    if recipe.init is None:
        raise ValueError("train.interpolate and train.distill stay near pretrained weights; give them with --init")
    return recipe.init
