"""What things do: every action as a pure function of time, from which both directions of time are made.

A `Motion` is one kind of change with its drawn parameters, which turns progress (0 at the start of the action, 1 at its
end) into a `Pose`. An action and its opposite are the same motion run forwards and backwards, so their frames differ in
nothing but the order. Angles are in radians, clockwise as seen on the screen, since y points down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from crossframe.shapes.looks import SYMMETRY

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
    mix: Array | float = 0.0  # 0: its own colour, 1: the colour it turns to

    def and_also(self, other: Pose) -> Pose:
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


def pose(motions: tuple[Motion, ...], times: Array) -> Pose:
    """The pose of a thing with these motions at `times` (T,), each in [0, 1]."""
    result = Pose()
    for motion in motions:
        t = 1 - times if motion.backwards else times
        progress = np.clip((t - motion.start) / (motion.stop - motion.start), 0, 1)
        if motion.eased:
            progress = progress * progress * (3 - 2 * progress)
        result = result.and_also(_pose(motion, progress))
    return result


def _pose(m: Motion, s: Array) -> Pose:
    """The pose at progress `s` (T,) of one motion: 0 at its start, 1 at its end."""
    phase = TURN * m.cycles * s
    match m.kind:
        case "still":
            return Pose()
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
            hop = (s * m.cycles) % 1
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
        case "recolour":
            return Pose(mix=s)
        case _:
            raise ValueError(f"there is no motion of the kind {m.kind!r}")


def _along(direction: float, distance: Array) -> Pose:
    return Pose(dx=distance * np.cos(direction), dy=distance * np.sin(direction))


def _around(radius: Array | float, angle: Array) -> Pose:
    return Pose(dx=radius * np.cos(angle), dy=radius * np.sin(angle))


@dataclass(frozen=True, slots=True)
class Action:
    """An action people have a word for: a kind of motion in one direction of time."""

    kind: str
    opposite: str | None = None  # the action that the same frames show in reverse order
    backwards: bool = False
    direction: float = 0.0
    couple: bool = False  # takes two things
    turns: bool = False  # can be seen only on shapes that show how they are turned


def _pair(forwards: str, backwards: str, kind: str, direction: float = 0.0, **more: bool) -> dict[str, Action]:
    return {
        forwards: Action(kind, backwards, False, direction, **more),
        backwards: Action(kind, forwards, True, direction, **more),
    }


ACTIONS: dict[str, Action] = {
    **_pair("moving right", "moving left", "glide"),
    **_pair("moving down", "moving up", "glide", TURN / 4),
    **_pair("growing", "shrinking", "grow"),
    **_pair("spinning clockwise", "spinning anticlockwise", "spin", turns=True),
    **_pair("circling clockwise", "circling anticlockwise", "circle"),
    **_pair("appearing", "vanishing", "appear"),
    "bouncing": Action("bounce"),
    "shaking": Action("shake"),
    "blinking": Action("blink"),
    "staying still": Action("still"),
    "turning": Action("recolour"),
    **_pair("approaching", "moving away from", "approach", couple=True),
    **_pair("following", "leading", "follow", couple=True),
    "swapping places with": Action("swap", couple=True),
}

NEW_ACTIONS: dict[str, Action] = {
    "zigzagging": Action("zigzag"),
    "pulsing": Action("pulse"),
    "swinging": Action("swing"),
    **_pair("spiralling outwards", "spiralling inwards", "spiral"),
    "flipping": Action("flip"),
    "jumping": Action("jump"),
    "wobbling": Action("wobble", turns=True),
}

# Two known actions at once; reversed in time, each part becomes its opposite.
COMPOSITES: tuple[tuple[str, str], ...] = (
    *product(
        ("moving left", "moving right", "moving up", "moving down"),
        ("growing", "shrinking", "spinning clockwise", "spinning anticlockwise", "blinking"),
    ),
    *product(("growing", "shrinking"), ("spinning clockwise", "spinning anticlockwise")),
)


def find(name: str) -> tuple[Action, ...]:
    """The one action, or the two joined by "and", that `name` stands for.

    Raises:
        ValueError: the world has no such action.
    """
    known = ACTIONS | NEW_ACTIONS
    parts = name.split(" and ")
    if not all(part in known for part in parts):
        raise ValueError(f"there is no action {name!r}; choose from {', '.join(known)}, or two of them joined by 'and'")
    return tuple(known[part] for part in parts)


def opposite(name: str) -> str:
    """The action that the frames of `name` show in reverse order; an action that is its own reversal gives itself."""
    parts = zip(name.split(" and "), find(name), strict=True)
    return " and ".join(action.opposite or part for part, action in parts)


def draw_motion(rng: np.random.Generator, action: Action, shape: str) -> Motion:
    """A motion of one thing for `action`, with drawn speed, distance and so on."""
    start, stop = draw_span(rng)
    amount, direction, cycles = _draw_parameters(rng, action, shape)
    eased = bool(rng.random() < 0.4)
    if action.kind in ("appear", "recolour"):  # between at once and slowly, somewhere in the middle
        length = rng.uniform(0.02, 0.5)
        start = rng.uniform(0.15, 0.85 - length)
        stop = start + length
    return Motion(action.kind, amount, direction, cycles, start, stop, eased, action.backwards)


def draw_span(rng: np.random.Generator) -> tuple[float, float]:
    """The part of the clip in which something happens: mostly all of it, else with a rest before and after."""
    return (0.0, 1.0) if rng.random() < 0.6 else (rng.uniform(0, 0.2), rng.uniform(0.8, 1))


def _draw_parameters(rng: np.random.Generator, action: Action, shape: str) -> tuple[float, float, float]:
    """Amount, direction and cycles. No cycle is so fast that 8 frames could not show it."""
    anywhere = rng.uniform(0, TURN)
    match action.kind:
        case "glide":
            return rng.uniform(0.25, 1.0), action.direction + rng.uniform(-0.15, 0.15), 0.0
        case "grow":
            return float(np.exp(rng.uniform(np.log(1.6), np.log(4.5)))), 0.0, 0.0
        case "spin":
            # Under a third of the symmetry between two of 8 frames; more would seem to turn the other way.
            symmetry = np.radians(SYMMETRY[shape] or 360)
            return float(np.clip(symmetry * rng.uniform(1.0, 2.3), TURN / 4, TURN)), 0.0, 0.0
        case "circle":
            return rng.uniform(0.15, 0.3), anywhere, rng.uniform(0.7, 1.6)
        case "bounce":
            return rng.uniform(0.2, 0.45), 0.0, float(rng.integers(2, 4))
        case "shake":
            return rng.uniform(0.05, 0.1), anywhere, rng.uniform(2.2, 3.4)
        case "blink":
            return rng.uniform(0, 1), 0.0, rng.uniform(1.8, 3.2)
        case "zigzag":
            return rng.uniform(0.5, 0.8), anywhere, rng.uniform(1.5, 2.5)
        case "pulse":
            return rng.uniform(1.7, 2.6), 0.0, float(rng.integers(2, 4))
        case "swing":
            return rng.uniform(0.25, 0.4), anywhere, rng.uniform(1.0, 2.0)
        case "spiral":
            return rng.uniform(0.28, 0.4), anywhere, rng.uniform(1.0, 1.6) * (1 if rng.random() < 0.5 else -1)
        case "flip":
            return 0.0, 0.0, rng.uniform(1.5, 2.5)
        case "jump":
            return rng.uniform(0.18, 0.32), anywhere, float(rng.integers(3, 6))
        case "wobble":
            return rng.uniform(0.3, 0.45), 0.0, rng.uniform(1.5, 2.5)
        case _:
            return 0.0, 0.0, 0.0
