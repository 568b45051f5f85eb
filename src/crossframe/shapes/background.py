"""Backgrounds: two colours mixed by a pattern that stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossframe.shapes.looks import RGB

Array = NDArray[np.floating]

KINDS = ("plain", "gradient", "stripes", "checks", "clouds", "specks")


@dataclass(frozen=True, slots=True)
class Background:
    """`kind` is one of `KINDS`; `scale` is how often the pattern repeats along the short side."""

    kind: str
    first: RGB
    second: RGB
    angle: float = 0.0
    scale: float = 1.0
    seed: int = 0


def paint(background: Background, x: Array, y: Array) -> Array:
    """The background as (3, H, W) in [0, 255], where `x` (W,) and `y` (H,) are places in units of the short side."""
    first = np.asarray(background.first, dtype=np.float32)[:, None, None] * 255
    if background.kind == "plain":
        return np.broadcast_to(first, (3, len(y), len(x)))
    second = np.asarray(background.second, dtype=np.float32)[:, None, None] * 255
    return first + (second - first) * _pattern(background, x, y)


def _pattern(background: Background, x: Array, y: Array) -> Array:
    """How much of the second colour there is, (H, W) in [0, 1]."""
    match background.kind:
        case "gradient":
            return np.clip(_along(background, x, y) / 1.2 + 0.5, 0, 1)
        case "stripes":
            return 0.5 + 0.5 * np.clip(3 * np.sin(2 * np.pi * background.scale * _along(background, x, y)), -1, 1)
        case "checks":
            columns, rows = (np.floor(axis * background.scale).astype(np.int32) for axis in (x, y))
            return ((columns[None] + rows[:, None]) & 1).astype(np.float32)
        case "clouds":  # random values on a grid of 9 x 9 over [-0.5, 1.5], and straight lines between them
            grid = np.random.default_rng(background.seed).random((9, 9), dtype=np.float32)
            return _between(y) @ grid @ _between(x).T
        case "specks":  # random squares, 24 along the short side
            grid = np.random.default_rng(background.seed).random((48, 48), dtype=np.float32)
            columns, rows = (np.clip((axis + 0.5) * 24, 0, 47).astype(np.intp) for axis in (x, y))
            return grid[rows[:, None], columns[None]]
        case _:
            raise ValueError(f"there is no background of the kind {background.kind!r}; choose from {', '.join(KINDS)}")


def _along(background: Background, x: Array, y: Array) -> Array:
    """Distance along the pattern's direction from the middle of the frame, (H, W)."""
    return (x[None] - 0.5) * np.float32(np.cos(background.angle)) + (y[:, None] - 0.5) * np.float32(
        np.sin(background.angle)
    )


def _between(axis: Array) -> Array:
    """Weights (P, 9) of the grid's lines for places (P,): each place lies between two lines."""
    place = np.clip((axis + 0.5) * 4, 0, 8)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(9, dtype=np.float32)))
