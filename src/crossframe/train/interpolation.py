"""Interpolated training (Open-VCLIP): weights between the pretrained and the trained ones must work too."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossframe.model.xclip import XCLIP
from crossframe.weights.blending import shared_values


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A second loss for each batch, `weight` times that of weights moved towards the pretrained ones by a fraction.

    The fraction is uniform between 0 and `up_to`, and depends on the seed and the batch's number in the run alone, so
    that a resumed run and every process draw the same. `pretrained` is what `pretrained_values` gives.
    """

    pretrained: Mapping[str, Tensor]
    weight: float = 0.5
    up_to: float = 0.6
    seed: int = 0

    def fraction(self, number: int) -> float:
        """How far the weights are moved for batch `number` of the run."""
        return random.Random(f"interpolate/{self.seed}/{number}").uniform(0.0, self.up_to)

    def moved(self, model: XCLIP, number: int) -> dict[str, Tensor]:
        """The moved weights by name; gradients pass through them to the trained weights."""
        named, fraction = dict(model.named_parameters()), self.fraction(number)
        return {name: torch.lerp(named[name], value, fraction) for name, value in self.pretrained.items()}


def pretrained_values(model: XCLIP, pretrained: XCLIP) -> dict[str, Tensor]:
    """The pretrained values of the parameters that are trained, by name, as far as they have any."""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: value for name, value in shared_values(model, pretrained).items() if name in trained}
