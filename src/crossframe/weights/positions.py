"""Position embeddings interpolated to another image size."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def interpolate_grid(position: Tensor, grid: int) -> Tensor:
    """(1 + N, D) -> (1 + grid * grid, D), bicubic. The class token's place comes first and stays as it is."""
    side = math.isqrt(position.shape[0] - 1)
    if side == grid:
        return position
    places = position[1:].T.unflatten(1, (side, side)).unsqueeze(0)  # (1, D, side, side)
    # Smoothing when the grid shrinks, as for pictures; at least float32, since half precision lacks the kernel.
    exact = places.to(torch.promote_types(places.dtype, torch.float32))
    places = F.interpolate(exact, (grid, grid), mode="bicubic", align_corners=False, antialias=grid < side)
    return torch.cat([position[:1], places.squeeze(0).flatten(1).T.to(position.dtype)])
