"""Motions: how a thing that moves, grows or spins looks at each moment, as pure functions of time.

A `Motion` is one kind of change with its drawn parameters, which turns progress (0 at its start, 1 at its end) into a
`Pose`. Angles are in radians, clockwise on the screen, since y points down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TURN = 2 * np.pi


@dataclass(frozen=True, slots=True)
class Motion:
    """One kind of change. `amount` is a distance (share of the frame), a ratio or an angle, as its kind wants."""

    kind: str
    amount: float = 0.0
    direction: float = 0.0
    cycles: float = 0.0
    start: float = 0.0  # the part of the clip in which it happens
    stop: float = 1.0
    eased: bool = False
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """How a thing differs from its plain self at each of T moments; each field is (T,) or one number for all."""

    dx: Array | float = 0.0
    dy: Array | float = 0.0
    scale: Array | float = 1.0
    squash: Array | float = 1.0  # of the width alone
    angle: Array | float = 0.0
    opacity: Array | float = 1.0
    mix: Array | float = 0.0  # 0: its own color, 1: the color it turns to

    def combined(self, other: Pose) -> Pose:
        """Both changes at once."""
        return Pose(
            self.dx + other.dx,
            self.dy + other.dy,
            self.scale * other.scale,
            self.squash * other.squash,
            self.angle + other.angle,
            self.opacity * other.opacity,
            np.maximum(self.mix, other.mix),
        )


def pose_at(times: Array, motions: tuple[Motion, ...]) -> Pose:
    """The pose of a thing with these motions at `times` (T,), each in [0, 1]."""
    result = Pose()
    for motion in motions:
        if motion.kind == "still":
            continue
        t = 1 - times if motion.backwards else times
        progress = np.clip((t - motion.start) / (motion.stop - motion.start), 0, 1)
        if motion.eased:
            progress = progress * progress * (3 - 2 * progress)
        result = result.combined(_pose(motion, progress))
    return result


def _pose(m: Motion, s: Array) -> Pose:
    """The pose at progress `s` (T,) of one motion: 0 at its start, 1 at its end."""
    phase = TURN * m.cycles * s
    match m.kind:
        case "glide":
            return _along(m.direction, (s - 0.5) * m.amount)
        case "shake":
            return _along(m.direction, m.amount * np.sin(phase))
        case "zigzag":
            along = (s - 0.5) * m.amount
            across = 1.5 * (np.abs((s * m.cycles) % 1 - 0.5) - 0.25) * m.amount
            c, d = np.cos(m.direction), np.sin(m.direction)
            return Pose(dx=along * c - across * d, dy=along * d + across * c)
        case "circle":
            return _around(m.amount, m.direction + phase)
        case "spiral":
            return _around(m.amount * (0.05 + 0.95 * s), m.direction + phase)
        case "jump":
            place = np.floor(np.minimum(s, 0.999) * m.cycles)
            return _around(m.amount, m.direction + place * 0.38 * TURN)  # never near the place before
        case "swing":
            angle = 0.9 * np.cos(phase + m.direction)
            return Pose(dx=m.amount * np.sin(angle), dy=m.amount * (np.cos(angle) - 0.85), angle=-angle)
        case "bounce":
            hop = (s * m.cycles + m.direction / TURN) % 1  # 0 and 1 are on the ground
            return Pose(dy=m.amount * (0.5 - 4 * hop * (1 - hop)))
        case "grow":
            return Pose(scale=m.amount ** (s - 0.5))
        case "pulse":
            return Pose(scale=m.amount ** (-0.5 * np.cos(phase)))
        case "flip":
            return Pose(squash=np.maximum(np.abs(np.cos(np.pi * m.cycles * s)), 0.08))
        case "spin":
            return Pose(angle=s * m.amount)
        case "wobble":
            return Pose(angle=m.amount * np.sin(phase))
        case "appear":
            return Pose(opacity=s)
        case "blink":
            return Pose(opacity=((s * m.cycles + m.amount) % 1 < 0.5).astype(np.float64))
        case "recolor":
            return Pose(mix=s)
        case _:
            raise ValueError(f"there is no motion of the kind {m.kind!r}")


def _along(direction: float, distance: Array) -> Pose:
    return Pose(dx=distance * np.cos(direction), dy=distance * np.sin(direction))


def _around(radius: Array | float, angle: Array) -> Pose:
    return Pose(dx=radius * np.cos(angle), dy=radius * np.sin(angle))
