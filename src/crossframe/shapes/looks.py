"""The looks of things: the names of colors, shapes and sizes, and the range that each name covers."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

RGB = tuple[float, float, float]  # each in [0, 1]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Shades:
    """The shades with one name: ranges of hue (degrees, may pass 0), saturation and value."""

    hue: Range
    saturation: Range
    value: Range
    purest: RGB


COLORS: dict[str, Shades] = {
    "red": Shades((-12, 8), (0.8, 1), (0.65, 1), (1, 0, 0)),
    "orange": Shades((23, 40), (0.85, 1), (0.88, 1), (1, 0.55, 0)),
    "yellow": Shades((48, 64), (0.7, 1), (0.85, 1), (1, 1, 0)),
    "green": Shades((95, 150), (0.65, 1), (0.45, 1), (0, 1, 0)),
    "cyan": Shades((172, 190), (0.65, 1), (0.75, 1), (0, 1, 1)),
    "blue": Shades((206, 245), (0.7, 1), (0.6, 1), (0, 0, 1)),
    "purple": Shades((272, 302), (0.65, 1), (0.5, 0.95), (0.55, 0, 0.85)),
    "white": Shades((0, 360), (0, 0.06), (0.9, 1), (1, 1, 1)),
    "black": Shades((0, 360), (0, 1), (0, 0.08), (0, 0, 0)),
    "gray": Shades((0, 360), (0, 0.06), (0.38, 0.62), (0.5, 0.5, 0.5)),
}

# After how many degrees a shape looks the same again; None when turning it changes nothing.
SYMMETRY: dict[str, int | None] = {
    "circle": None,
    "square": 90,
    "triangle": 120,
    "star": 72,
    "cross": 90,
    "ring": None,
    "heart": 360,
    "moon": 360,
}
SHAPES: tuple[str, ...] = tuple(SYMMETRY)
TURNABLE: tuple[str, ...] = tuple(shape for shape, degrees in SYMMETRY.items() if degrees is not None)

# Diameters as a share of the frame's short side. The gaps keep neighboring words apart.
SIZES: dict[str, Range] = {
    "tiny": (0.07, 0.11),
    "small": (0.14, 0.19),
    "medium": (0.23, 0.29),
    "large": (0.34, 0.46),
    "huge": (0.55, 0.95),
}


@dataclass(frozen=True, slots=True)
class Look:
    """The name of a thing: one of `COLORS` and one of `SHAPES`."""

    color: str
    shape: str

    def __str__(self) -> str:
        return f"{self.color} {self.shape}"


LOOKS: tuple[Look, ...] = tuple(Look(color, shape) for color in COLORS for shape in SHAPES)


def size_word(diameter: float) -> str:
    """The word for a diameter; the boundaries lie in the middle of the gaps of `SIZES`."""
    edges = {"tiny": 0.125, "small": 0.21, "medium": 0.315, "large": 0.505}
    return next((word for word, edge in edges.items() if diameter < edge), "huge")


def draw_shade(rng: np.random.Generator, color: str) -> RGB:
    """A shade of `color`; now and then the purest one, which people use in their own drawings."""
    shades = COLORS[color]
    if rng.random() < 0.2:
        return shades.purest
    hue, saturation, value = (rng.uniform(*span) for span in (shades.hue, shades.saturation, shades.value))
    return colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)


def distance(first: RGB, second: RGB) -> float:
    """How far apart two colors are: Euclidean, from 0 to 1.73."""
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
