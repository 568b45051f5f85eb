"""Additions to blocks beyond CLIP's: stochastic depth in training, and gates, scales and stems of other families."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch for a whole sample (dimension 0) with probability `rate`."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0  # the image encoder sets it by depth

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep)
        return x * mask / keep


class GatedMLP(nn.Module):
    """EVA-02's: the activation of one product gates another, and a norm follows."""

    def __init__(self, width: int, hidden: int, activation: Callable[[Tensor], Tensor], norm_eps: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden)
        self.fc1 = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, norm_eps)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)"""
        return self.fc2(self.norm(self.activation(self.gate(x)) * self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch (DINOv2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)"""
        return x * self.weight


def conv_stem(widths: tuple[int, ...], width: int) -> nn.Sequential:
    """MobileCLIP2-B's patches of 16, in steps of 4, 2 and 2. Its batch norms are folded in on loading."""
    channels = (3, *widths, width)
    first, second, last = (nn.Conv2d(channels[i], channels[i + 1], step, step) for i, step in enumerate((4, 2, 2)))
    return nn.Sequential(first, nn.GELU(), second, nn.GELU(), last)
