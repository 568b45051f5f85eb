"""Drawings by Pillow: shapes, plain backgrounds and photos, with no line in common with `crossframe.shapes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, radians, sin
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 192  # of a picture
SMOOTH = 2  # drawn larger and scaled down, since Pillow draws hard edges

COLORS = {
    "red": (220, 30, 30),
    "orange": (255, 140, 0),
    "yellow": (250, 230, 20),
    "green": (20, 160, 40),
    "cyan": (0, 220, 220),
    "blue": (30, 60, 230),
    "purple": (140, 20, 200),
    "white": (250, 250, 250),
}
DARK = {"black": (0, 0, 0), "gray": (128, 128, 128)}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon")


@dataclass(frozen=True, slots=True)
class Figure:
    """A thing at one moment: its middle and radius in shares of the side, clockwise turn in radians, and color."""

    shape: str
    color: tuple[int, int, int]
    x: float = 0.5
    y: float = 0.5
    radius: float = 0.13
    turn: float = 0.0
    opacity: float = 1.0
    line: int = 0  # pixels; 0: filled


def draw(picture: Image.Image, figure: Figure) -> None:
    scale = SIDE * SMOOTH
    mask = Image.new("L", (scale, scale))
    pen = ImageDraw.Draw(mask)
    x, y, r = figure.x * scale, figure.y * scale, figure.radius * scale
    box, line = (x - r, y - r, x + r, y + r), figure.line * SMOOTH
    inked = {"outline": 255, "width": line} if line else {"fill": 255}
    match figure.shape:
        case "circle":
            pen.ellipse(box, **inked)
        case "ring":
            pen.ellipse(box, outline=255, width=round(0.45 * r))
        case "moon":
            _moon(mask, figure, x, y, r, line)
        case _:
            corners = [
                (
                    x + r * (a * cos(figure.turn) - b * sin(figure.turn)),
                    y + r * (a * sin(figure.turn) + b * cos(figure.turn)),
                )
                for a, b in _CORNERS[figure.shape]
            ]
            if line:
                pen.line([*corners, corners[0], corners[1]], fill=255, width=line, joint="curve")
            else:
                pen.polygon(corners, fill=255)
    mask = mask.resize(picture.size, Image.Resampling.BOX).point(lambda value: round(value * figure.opacity))
    picture.paste(figure.color, mask=mask)


def _moon(mask: Image.Image, figure: Figure, x: float, y: float, r: float, line: int) -> None:
    """A disk without the disk beside it; hollow: what is left of it when a smaller moon is taken away."""
    filled = _crescent(mask.size, figure.turn, x, y, r)
    if line:
        inner = _crescent(mask.size, figure.turn, x, y, r - line, r + line)
        filled = Image.fromarray(np.where(np.asarray(inner) > 0, 0, np.asarray(filled)).astype(np.uint8))
    mask.paste(filled)


def _crescent(
    size: tuple[int, int], turn: float, x: float, y: float, r: float, missing: float | None = None
) -> Image.Image:
    image = Image.new("L", size)
    pen, gap = ImageDraw.Draw(image), 0.85 * (missing or r)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    cx, cy = x + 0.55 * (missing or r) * cos(turn), y + 0.55 * (missing or r) * sin(turn)
    pen.ellipse((cx - gap, cy - gap, cx + gap, cy + gap), fill=0)
    return image


def _polygon(count: int, inner: float = 1.0) -> list[tuple[float, float]]:
    points = [(1.0 if i % 2 == 0 else inner, radians(360 / count * i - 90)) for i in range(count)]
    return [(r * cos(a), r * sin(a)) for r, a in points]


def _heart() -> list[tuple[float, float]]:
    ts = np.linspace(0, 2 * pi, 60)
    return [
        (float(sin(t) ** 3), float(-(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16)) for t in ts[:-1]
    ]


_CORNERS: dict[str, Sequence[tuple[float, float]]] = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": _polygon(3),
    "star": _polygon(10, 0.42),
    "cross": [
        (-0.33, -1), (0.33, -1), (0.33, -0.33), (1, -0.33), (1, 0.33), (0.33, 0.33),
        (0.33, 1), (-0.33, 1), (-0.33, 0.33), (-1, 0.33), (-1, -0.33), (-0.33, -0.33),
    ],
    "heart": _heart(),
}  # fmt: skip


def plain(rng: np.random.Generator, colors: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A plain background on which these colors show."""
    known = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (173, 216, 230), (245, 222, 179), (20, 30, 70)]
    far = [b for b in known if all(np.hypot.reduce(np.subtract(b, color)) > 115 for color in colors)]
    return Image.new("RGB", (SIDE, SIDE), pick(rng, far or known[:2]))


def photo(rng: np.random.Generator) -> Image.Image:
    """A square from one of the photos."""
    whole: Image.Image = pick(rng, _photos())
    side = int(min(whole.size) * rng.uniform(0.4, 1.0))
    left, top = (int(rng.integers(length - side + 1)) for length in whole.size)
    return whole.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def _photos() -> tuple[Image.Image, ...]:
    from matplotlib import cbook
    from sklearn.datasets import load_sample_images

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).convert("RGB")
    return (*(Image.fromarray(pixels) for pixels in load_sample_images().images), hopper)


def pick(rng: np.random.Generator, names: Sequence[Any]) -> Any:
    return names[int(rng.integers(len(names)))]
