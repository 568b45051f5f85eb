"""Backgrounds that stand still: two colors mixed by a pattern, or regions and textures as in photos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crossframe.shapes.looks import RGB

Array = NDArray[np.floating]

KINDS = ("plain", "gradient", "stripes", "checks", "clouds", "specks", "natural")


@dataclass(frozen=True, slots=True)
class Background:
    """`kind` is one of `KINDS`; `scale` is how often the pattern repeats along the short side.

    Of `natural`, `scale` says how rough the texture is, and the two colors are the two main ones among others.
    """

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
    if background.kind == "natural":
        return _natural(background, x, y)
    second = np.asarray(background.second, dtype=np.float32)[:, None, None] * 255
    return first + (second - first) * _pattern(background, x, y)


def _pattern(background: Background, x: Array, y: Array) -> Array:
    """How much of the second color there is, (H, W) in [0, 1]."""
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
            return _between(y, 9) @ grid @ _between(x, 9).T
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


def _between(axis: Array, lines: int) -> Array:
    """Weights (P, lines) of a grid's lines over [-0.5, 1.5] for places (P,): each place lies between two lines."""
    place = np.clip((axis + 0.5) * ((lines - 1) / 2), 0, lines - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(lines, dtype=np.float32)))


def _natural(background: Background, x: Array, y: Array) -> Array:
    """Regions with soft and sharp borders, each with a color and a texture whose amplitude falls with frequency, as in
    photos: (3, H, W) in [0, 255].
    """
    rng = np.random.default_rng(background.seed)
    fields = _octaves(rng, x, y, 5, finer=background.scale / 8 + 0.1)
    jitter, amount, sharpness = rng.normal(0, 0.12, (4, 3)), rng.uniform(0.03, 0.16, 2), rng.uniform(2, 40, 2)
    first, second = np.asarray(background.first), np.asarray(background.second)
    shares = np.array([0, 1, rng.uniform(0.2, 0.8), rng.uniform(-0.3, 1.3)])
    corners = (first + shares[:, None] * (second - first) + jitter).astype(np.float32)[:, :, None, None]  # (4, RGB)
    a, b = np.clip(fields[:2] * sharpness.astype(np.float32)[:, None, None] + 0.5, 0, 1)  # which region, (H, W) each
    low, high = (corners[i] + b * (corners[i + 1] - corners[i]) for i in (0, 2))
    light, warm = (np.float32(share) * field for share, field in zip(amount, fields[2:4], strict=True))
    picture = low + a * (high - low) + light
    picture[0] += warm
    picture[2] -= warm
    picture *= 255 + 38 * fields[4]  # light falls unevenly
    return np.clip(picture, 0, 255, out=picture)


def _octaves(rng: np.random.Generator, x: Array, y: Array, count: int, finer: float) -> Array:
    """Random fields (count, H, W) of mean 0 and deviation about 1: sums of grids from coarse to fine, each with `finer`
    times the amplitude of the one before.
    """
    total, power, amplitude = np.zeros((count, len(y), len(x)), dtype=np.float32), 0.0, 1.0
    columns, rows = x.tobytes(), y.tobytes()
    for lines in (5, 11, 25, 61):
        top, left = rng.integers(0, (_NOISE - count * lines, _NOISE - lines))
        grid = _noise()[top : top + count * lines, left : left + lines].reshape(count, lines, lines)
        total += _weights(rows, lines) @ (np.float32(amplitude) * grid) @ _weights(columns, lines).T
        power += amplitude**2 * 4 / 9  # what lines between values leave of their variance, in two dimensions
        amplitude *= finer
    return total / np.float32(power**0.5)


@lru_cache(maxsize=256)
def _weights(axis: bytes, lines: int) -> Array:
    """`_between` of the places in `axis`, kept: most pictures of a run have the same ones."""
    return _between(np.frombuffer(axis, dtype=np.float32), lines)


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    """Normal values (_NOISE, _NOISE), from which grids are cut: drawing them anew would cost more than painting."""
    return np.random.default_rng(0).standard_normal((_NOISE, _NOISE), dtype=np.float32)


_NOISE = 512
