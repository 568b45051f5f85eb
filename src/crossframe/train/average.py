"""Averaged weights: a mean of the weights over the steps or the epochs, often better than the last ones."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crossframe.train.shard import shard_like


class AveragedWeights:
    """The running mean of a model's trained parameters.

    With `decay`, an exponential moving average over steps, which starts as a plain mean so that the initial random
    weights are soon forgotten. Without it, the plain mean of the weights after every `every` steps; before the first
    of these, the model's own weights.
    """

    def __init__(self, model: nn.Module, decay: float | None, every: int = 1) -> None:
        self.decay = decay
        self.every = every
        self.steps = 0
        self.model = model
        self.mean = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Include the model's weights after one more step."""
        updates, rest = divmod(self.steps, self.every)
        self.steps += 1
        if rest != self.every - 1:
            return
        share = 1 / (updates + 1) if self.decay is None else 1 - min(self.decay, (1 + updates) / (10 + updates))
        named = dict(self.model.named_parameters())
        for name, mean in self.mean.items():
            mean.lerp_(named[name], share)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Inside, the model has the averaged weights; after, its own again."""
        if self.steps < self.every:
            yield
            return
        own = {name: p.detach().clone() for name, p in self.model.named_parameters() if name in self.mean}
        _copy(self.mean, self.model)
        try:
            yield
        finally:
            _copy(own, self.model)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"steps": self.steps, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.steps = state["steps"]
        for name, tensor in state["mean"].items():
            self.mean[name].copy_(shard_like(tensor, self.mean[name]))


@torch.no_grad()
def _copy(source: dict[str, Tensor], model: nn.Module) -> None:
    named = dict(model.named_parameters())
    for name, tensor in source.items():
        named[name].copy_(tensor)
