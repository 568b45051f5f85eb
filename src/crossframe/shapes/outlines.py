"""The outlines of the shapes as signed distances: negative inside, in units of the shape's radius.

Distances are computed once for each shape and kept in a table, so that drawing is a look-up and edges can be smooth
or hard at any size.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 1.25  # the table covers [-REACH, REACH] in both directions
CELLS = 512


@cache
def table(shape: str) -> NDArray[np.float32]:
    """Signed distances of `shape`, flat (CELLS * CELLS,), row by row from the top left."""
    axis = (np.arange(CELLS) + 0.5) / CELLS * 2 * REACH - REACH
    x, y = np.meshgrid(axis, axis)
    distance = _distance(shape, x, y).astype(np.float32)
    # Whatever lies beyond the table is looked up at its border, and must count as far away.
    distance[[0, -1]] = distance[:, [0, -1]] = 1e3
    return distance.ravel()


def _distance(shape: str, x: Array, y: Array) -> Array:
    match shape:
        case "circle":
            return np.hypot(x, y) - 0.95
        case "ring":
            return np.abs(np.hypot(x, y) - 0.72) - 0.25
        case "moon":
            return np.maximum(np.hypot(x + 0.15, y) - 1.05, 0.8 - np.hypot(x - 0.5, y))
        case _:
            return _polygon(_CORNERS[shape], x, y)


def _polygon(corners: Array, x: Array, y: Array) -> Array:
    """Distance to a polygon with corners (C, 2): the nearest edge; a ray from inside crosses an odd number of them."""
    nearest = np.full_like(x, np.inf)
    inside = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * ex, y - ay - along * ey))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / ey)
    return np.where(inside, -nearest, nearest)


def _regular(radii: tuple[float, ...], count: int) -> Array:
    """Corners on `count` rays, the first pointing up, at the given radii in turn."""
    angles = np.arange(count) * 2 * np.pi / count - np.pi / 2
    radius = np.resize(np.asarray(radii), count)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _cross(arm: float) -> Array:
    quarter = np.array([[arm, -1], [arm, -arm], [1, -arm]])
    turn = np.array([[0, -1], [1, 0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn.T, i) for i in range(4)])


def _heart() -> Array:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2.5], axis=1) / 15.5


_SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.84
_CORNERS = {
    "square": _SQUARE,
    "triangle": _regular((1.15,), 3),
    "star": _regular((1.14, 0.48), 10),
    "cross": _cross(0.34),
    "heart": _heart(),
}
