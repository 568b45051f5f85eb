"""From a scene to pixels, at any size and at any moments.

Each frame starts as a crop of the still picture (background and what never moves) where the camera points; things are
drawn over it by looking up signed distances in the box around them; grain comes last. A frame depends only on its
moment, so frames rendered for training equal those of the whole clip, and a reversed scene has exactly the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from crossframe.shapes import outlines
from crossframe.shapes.background import paint
from crossframe.shapes.motion import TURN, pose_at
from crossframe.shapes.scene import Camera, Scene, Thing

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Times = NDArray[np.float64]

_GRAIN_SIDE = 512


def sparse_times(num_frames: int, rng: Generator | None = None) -> Times:
    """Moments (T,) in [0, 1], one in each of T equal segments: its middle, or a random one with a generator."""
    if num_frames < 1:
        raise ValueError(f"{num_frames} frames were asked for; use 1 or more")
    offsets = 0.5 if rng is None else rng.random(num_frames)
    return (np.arange(num_frames) + offsets) / num_frames


def render(
    scene: Scene, size: int | tuple[int, int] = 64, num_frames: int = 8, *, times: Times | None = None
) -> Pixels:
    """The frames of `scene`, uint8 (T, 3, H, W).

    Args:
        scene: what to draw.
        size: side of a square frame, or (height, width).
        num_frames: T, evenly spread over the clip; ignored where `times` is given.
        times: the moments to draw, each in [0, 1].
    """
    height, width = (size, size) if isinstance(size, int) else size
    moments = _moments(scene, sparse_times(num_frames) if times is None else times)
    moving = (*(prop for prop in scene.props if prop.motions), scene.other, scene.target)
    seen = [(thing, moments) for thing in moving if thing is not None]
    return _frames(scene, seen, moments, (height, width))


def render_stage(scene: Scene, things: Sequence[tuple[Thing, Times]], times: Times, size: int) -> Pixels:
    """The frames of what stands still in a scene, before which other things come and go, uint8 (T, 3, size, size).

    `times` (T,) say where in its own motion the camera is, in [0, 1]; each thing has its own such moments (T,), NaN
    where it is not there.
    """
    return _frames(scene, things, times, (size, size))


def _frames(scene: Scene, things: Sequence[tuple[Thing, Times]], moments: Times, size: tuple[int, int]) -> Pixels:
    """Things at their own moments over what stands still, seen by the camera at its `moments` (T,)."""
    height, width = size
    margin = int(np.ceil(scene.camera.shake * min(size)))
    still = _still_picture(scene, height, width, margin)
    shifts = _camera_shifts(scene.camera, moments, min(size))  # (T, 2): x, y
    seen = [pair for thing, own in things for pair in _seen((thing,), own, shifts, size)]
    there = [np.isfinite(own) for _, own in things]

    frames = np.empty((len(moments), 3, height, width), dtype=np.uint8)
    for t, (dx, dy) in enumerate(shifts):
        frame = still[:, margin + dy : margin + dy + height, margin + dx : margin + dx + width].copy()
        for (thing, placed), here in zip(seen, there, strict=True):
            if here[t]:
                _draw(frame, thing, placed[t], soft=scene.camera.soft_edges)
        if scene.camera.grain:
            frame += _grain(scene.camera.seed, moments[t], height, width) * np.float32(scene.camera.grain)
        frames[t] = np.clip(frame + np.float32(0.5), 0, 255)
    return frames


def silhouettes(scene: Scene, size: tuple[int, int], times: Times) -> NDArray[np.bool_]:
    """Where the things that the caption names are, bool (T, H, W): the pixels that they cover by half or more.

    `size` is (height, width), `times` (T,) are the moments as for `render`.
    """
    moments = _moments(scene, times)
    found = np.zeros((len(moments), *size), dtype=np.bool_)
    shifts = _camera_shifts(scene.camera, moments, min(size))
    for thing, placed in _seen((scene.other, scene.target), moments, shifts, size):
        for t, row in enumerate(placed):
            if (drawn := _covering(thing, row, size, soft=True)) is not None:
                place, covered = drawn
                found[t][place] |= covered >= 0.5
    return found


def _moments(scene: Scene, times: Times) -> Times:
    """The moments of the scene's own motions."""
    moments = 1 - times if scene.backwards else times
    return np.round(moments, 9)  # so that going there and back in time ends at the very same number


def _seen(
    things: tuple[Thing | None, ...], moments: Times, shifts: NDArray[np.int64], size: tuple[int, int]
) -> list[tuple[Thing, NDArray[np.float64]]]:
    """Each of the things that there are with its places, (T, 8) as of `_placed`, as the camera sees them."""
    height, width = size
    short = min(size)
    middle = np.array([(width - short) / 2, (height - short) / 2])
    shift = np.pad(shifts, ((0, 0), (0, 6)))
    return [(thing, _placed(thing, moments, short, middle) - shift) for thing in things if thing is not None]


def _still_picture(scene: Scene, height: int, width: int, margin: int) -> Floats:
    """Background and still props with a margin for the camera, float (3, H + 2 margin, W + 2 margin)."""
    short = min(height, width)
    x, y = (
        ((np.arange(-margin, side + margin) + 0.5 - (side - short) / 2) / short).astype(np.float32)
        for side in (width, height)
    )
    picture = paint(scene.background, x, y)
    if still := [prop for prop in scene.props if not prop.motions]:
        picture = np.array(picture)
        middle = np.array([(width - short) / 2 + margin, (height - short) / 2 + margin])
        for prop in still:
            _draw(picture, prop, _placed(prop, np.zeros(1), short, middle)[0], soft=scene.camera.soft_edges)
    return picture.astype(np.float32, copy=False)


def _camera_shifts(camera: Camera, moments: Times, short: int) -> NDArray[np.int64]:
    """Where the camera points at each moment, in whole pixels, (T, 2)."""
    waves = np.sin(TURN * moments[:, None] * np.array(camera.speed) + np.array(camera.phase))
    return np.round(camera.shake * short * waves).astype(np.int64)


def _placed(thing: Thing, moments: Times, short: int, middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """A thing at each moment, (T, 8): x, y, radius and stroke in pixels, squash, angle, opacity, mix."""
    pose = pose_at(moments, thing.motions)
    columns = (
        (thing.x + pose.dx) * short + middle[0],
        (thing.y + pose.dy) * short + middle[1],
        thing.size / 2 * short * pose.scale,
        thing.stroke * short,
        thing.width * pose.squash,
        thing.angle + pose.angle,
        pose.opacity,
        pose.mix,
    )
    placed = np.empty((len(moments), len(columns)))
    for column, values in enumerate(columns):
        placed[:, column] = values
    return placed


def _draw(frame: Floats, thing: Thing, placed: NDArray[np.float64], *, soft: bool) -> None:
    """Draw a thing over `frame` (3, H, W), in place, in the box around it."""
    _, height, width = frame.shape
    if (drawn := _covering(thing, placed, (height, width), soft=soft)) is None:
        return
    (rows, columns), covered = drawn
    box = frame[:, rows, columns]
    start, end = np.array(thing.color), np.array(thing.turns_to or thing.color)
    color = (255 * (start + placed[7] * (end - start))).astype(np.float32)
    box += covered * (color[:, None, None] - box)


def _covering(
    thing: Thing, placed: NDArray[np.float64], size: tuple[int, int], *, soft: bool
) -> tuple[tuple[slice, slice], Floats] | None:
    """The box around a thing, as rows and columns, and how much of each of its pixels the thing covers, 0 to 1; None
    where it is not in the picture."""
    x, y, radius, stroke, squash, angle, opacity = placed[:7].tolist()
    if opacity == 0:
        return None
    height, width = size
    reach = radius * (outlines.REACH - 0.02) * max(1.0, squash)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    if left >= right or top >= bottom:
        return None
    dx = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)
    dy = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y)
    distance = _distances(thing.look.shape, dx, dy, radius, squash, angle)  # in pixels, (box height, box width)
    if stroke:  # a line along the inside; hard edges would break it into dots where it is thinner than a pixel
        half = np.float32(min(stroke, 0.4 * radius) / 2)
        distance = np.abs(distance + half) - half
    covered = np.clip(0.5 - distance, 0, 1) if soft or stroke else (distance < 0).astype(np.float32)
    if opacity != 1:
        covered *= np.float32(opacity)
    return (slice(top, bottom), slice(left, right)), covered


def _distances(shape: str, dx: Floats, dy: Floats, radius: float, squash: float, angle: float) -> Floats:
    """Signed distance in pixels of a box of pixels from the outline, looked up in the thing's own axes."""
    cells = outlines.CELLS / (2 * outlines.REACH * radius)
    cos, sin = np.float32(np.cos(angle) * cells), np.float32(np.sin(angle) * cells)
    middle, last = np.float32(outlines.CELLS / 2), outlines.CELLS - 1
    thin = np.float32(1 / squash)
    column = np.clip((dx * cos * thin)[None] + (dy * sin * thin + middle)[:, None], 0, last).astype(np.int32)
    row = np.clip((dx * -sin)[None] + (dy * cos + middle)[:, None], 0, last).astype(np.int32)
    return outlines.table(shape).take(row * outlines.CELLS + column) * np.float32(radius * min(1.0, squash))


@lru_cache(maxsize=1)
def _grain_table() -> Floats:
    return np.random.default_rng(0).standard_normal((_GRAIN_SIDE, _GRAIN_SIDE), dtype=np.float32)


def _grain(seed: int, moment: float, height: int, width: int) -> Floats:
    """Noise (H, W), another one at each moment of each clip: a piece of one large table, repeated where that ends.

    Clips must not share their noise: a model that knows it by heart would read the time from it.
    """
    mixed = (seed + int(moment * 1e9)) * 2654435761
    top, left = mixed // 65536 % _GRAIN_SIDE, mixed % 65521 % _GRAIN_SIDE
    table = _grain_table()
    if top + height <= _GRAIN_SIDE and left + width <= _GRAIN_SIDE:
        return table[top : top + height, left : left + width]
    rows, columns = (start + np.arange(side) for start, side in ((top, height), (left, width)))
    return table.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
