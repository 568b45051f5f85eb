"""Averaged weights: an exponential mean of the weights over the steps, often better than the last ones."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class AveragedWeights:
    """The running mean of a model's learning parameters.

    The mean starts as a plain one and becomes exponential with `decay` once that forgets faster, so that the first,
    random weights do not linger.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = model
        self.mean = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's present weights in."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        named = dict(self.model.named_parameters())
        for name, mean in self.mean.items():
            mean.lerp_(named[name], 1 - decay)
        self.updates += 1

    @contextmanager
    def applied(self) -> Generator[None]:
        """Inside, the model has the averaged weights; after, its own again."""
        own = {name: p.detach().clone() for name, p in self.model.named_parameters() if name in self.mean}
        _copy(self.mean, self.model)
        try:
            yield
        finally:
            _copy(own, self.model)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"updates": self.updates, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.updates = state["updates"]
        for name, tensor in state["mean"].items():
            self.mean[name].copy_(tensor)


@torch.no_grad()
def _copy(source: dict[str, Tensor], model: nn.Module) -> None:
    named = dict(model.named_parameters())
    for name, tensor in source.items():
        named[name].copy_(tensor)
