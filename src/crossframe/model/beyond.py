"""Parts that CLIP has not, beside attention pooling: gates, scales, stems; fixed, rotary and resized positions.

Sines are TIPSv2's positions, rotary ones those of PE and EVA-02.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.model.config import Resize, VisionConfig

log = logging.getLogger(__name__)

_BASE = 10000.0
_EVA_RANGE = 16.0  # EVA-02 stretches every grid to this many steps, whatever its size


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


def interpolate_grid(position: Tensor, grid: int, first: int = 1, resize: Resize = "bicubic") -> Tensor:
    """(first + N, D) -> (first + grid * grid, D). The class token's place, where it has one, stays as it is."""
    side = math.isqrt(position.shape[0] - first)
    if side == grid:
        return position
    places = position[first:].T.unflatten(1, (side, side)).unsqueeze(0)  # (1, D, side, side)
    # CLIP's are smoothed when the grid shrinks, as images are; at least float32, since half precision lacks the kernel.
    smooth = resize.endswith("smooth") or (resize == "bicubic" and grid < side)
    exact = places.to(torch.promote_types(places.dtype, torch.float32))
    mode = resize.removesuffix("_smooth")
    places = F.interpolate(exact, (grid, grid), mode=mode, align_corners=False, antialias=smooth)
    return torch.cat([position[:first], places.squeeze(0).flatten(1).T.to(position.dtype)])


def positions_for(grid: int, position: Tensor, config: VisionConfig, told: set[int]) -> Tensor:
    """Learned positions for grid x grid patches, and for the class token where it has one, from those of the config.

    Another grid than the model's own, which keeps them to the last bit, is told once; `told` remembers.
    """
    own = config.grid
    if grid != own and grid not in told:
        told.add(grid)
        log.warning("grid positions are interpolated from %d places to %d x %d", own**2, grid, grid)
    return interpolate_grid(position, grid, position.shape[0] - own**2, config.resize)


def sines(x: Tensor) -> Tensor:
    """Fixed positions (L, W) for (K, L, W): sines of waves from 1 to 10,000 places over two pi, then their cosines."""
    length, half = x.shape[1], x.shape[2] // 2
    exact = torch.promote_types(x.dtype, torch.float32)
    waves = torch.exp(torch.arange(half, device=x.device, dtype=exact) * (-math.log(10000.0) / (half - 1)))
    turns = torch.arange(length, device=x.device, dtype=exact).unsqueeze(1) * waves
    return torch.cat([turns.sin(), turns.cos()], dim=1).to(x.dtype)


def angles(order: Literal["pe", "eva"], grid: int, first: int, head_width: int, like: Tensor) -> Tensor:
    """Sines and cosines (2, first + grid * grid, 1, d) for `turn`, where d is `head_width`, in the precision of `like`.

    The `first` tokens are no patches and turn by nothing. PE counts places from 1 after a class token, and turns by
    columns first; EVA-02 counts from 0 and turns by rows first.
    """
    exact = torch.promote_types(like.dtype, torch.float32)
    bands = _BASE ** -(torch.arange(0, head_width // 2, 2, device=like.device, dtype=exact) / (head_width // 2))
    places = torch.arange(grid, device=like.device, dtype=exact)
    places = places + min(first, 1) if order == "pe" else places / grid * _EVA_RANGE
    rows = (places[:, None, None] * bands).expand(grid, grid, -1)
    columns = rows.transpose(0, 1)
    both = torch.cat([columns, rows] if order == "pe" else [rows, columns], dim=-1)  # (grid, grid, d / 2)
    table = both.flatten(0, 1).repeat_interleave(2, dim=-1)  # neighboring channels turn together
    table = torch.cat([table.new_zeros(first, head_width), table]).unsqueeze(1)
    return torch.stack([table.sin(), table.cos()])


def turn(x: Tensor, heads: int, angles: Tensor) -> Tensor:
    """(..., L, D) -> (..., L, D): pairs of channels of every head turned by the angles of the token's place."""
    sin, cos = angles
    x = x.unflatten(-1, (heads, -1))  # (..., L, heads, d)
    partner = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return (x * cos + partner * sin).type_as(x).flatten(-2)
