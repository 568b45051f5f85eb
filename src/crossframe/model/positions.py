"""Positions: learned ones at other sizes; and fixed ones, which CLIP has not: sines (TIPSv2), rotary (PE, EVA-02)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.model.config import Resize

_BASE = 10000.0
_EVA_RANGE = 16.0  # EVA-02 stretches every grid to this many steps, whatever its size


def interpolate_time(position: Tensor, num_frames: int) -> Tensor:
    """(T, E) -> (num_frames, E), linear. Frames stand in the middle of their segments, as in sparse sampling."""
    if num_frames == position.shape[0]:
        return position
    return F.interpolate(position.T.unsqueeze(0), size=num_frames, mode="linear").squeeze(0).T


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
