"""The actions of things: those that people have words for, and the motions drawn for them.

An action and its opposite are the same motion run forwards and backwards, so their frames differ in nothing but the
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from crossframe.shapes.looks import SYMMETRY
from crossframe.shapes.motion import TURN, Motion


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
    "turning": Action("recolor"),
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


def draw_motion(rng: np.random.Generator, action: Action, shape: str, *, nuisance: float = 1.0) -> Motion:
    """A motion of one thing for `action`, with drawn speed, distance and so on.

    `nuisance` is how often it is slow, short or cut off, from 0 to 1 (as often as in the whole world).
    """
    start, stop = draw_span(rng, nuisance)
    length = max(stop - start, _SHORTEST_CYCLES) if action.kind in _CYCLIC else stop - start
    start = min(max(0.0, (start + stop - length) / 2), 1 - length)
    amount, direction, cycles = _draw_parameters(rng, action, shape, length, nuisance)
    eased = bool(rng.random() < 0.4)
    if action.kind in ("appear", "recolor"):  # between at once and slowly, somewhere in the middle
        length = rng.uniform(0.02, 0.5)
        edge = 0.15 if rng.random() < 1 - 0.3 * nuisance else 0.07
        start = rng.uniform(edge, 1 - edge - length)
    return Motion(action.kind, amount, direction, cycles, start, start + length, eased, action.backwards)


def draw_span(rng: np.random.Generator, nuisance: float = 1.0) -> tuple[float, float]:
    """The part of the clip in which something happens: mostly all of it, else with a rest before, after or both.

    Drawn symmetrically in time: an action and its opposite happen equally early.
    """
    kind, first, second = rng.random(3).tolist()
    if kind < 0.35 * nuisance:  # a fifth of the clip or more, often at one of its ends
        length = 0.2 + 0.4 * first
        start = float(np.clip(1.6 * second - 0.3, 0, 1)) * (1 - length)
        return start, start + length
    return (0.0, 1.0) if rng.random() < 0.6 else (0.2 * first, 1 - 0.2 * second)


def _draw_parameters(
    rng: np.random.Generator, action: Action, shape: str, length: float, nuisance: float
) -> tuple[float, float, float]:
    """Amount, direction and cycles for a motion that takes `length` of the clip.

    No cycle is so fast that 8 frames could not show it.
    """
    anywhere = rng.uniform(0, TURN)
    slow = bool(rng.random() < 0.2 * nuisance)
    match action.kind:
        case "glide":
            amount = rng.uniform(0.1, 0.25) if slow else rng.uniform(0.25, 1.0)
            return amount, action.direction + rng.uniform(-0.15, 0.15), 0.0
        case "grow":
            least, most = (1.3, 1.6) if slow else (1.6, 12.0 if rng.random() < 0.3 * nuisance else 4.5)
            return float(np.exp(rng.uniform(np.log(least), np.log(most)))), 0.0, 0.0
        case "spin":
            # Under a third of the symmetry between two of 8 frames; more would seem to turn the other way.
            symmetry = np.radians(SYMMETRY[shape] or 360)
            most = 2.3 * length
            least = min(0.3 if slow else 1.0, 0.6 * most)
            return float(np.clip(symmetry * rng.uniform(least, most), 0, TURN)), 0.0, 0.0
        case "circle":
            most = min(1.6, 2.0 * length)
            radius = rng.uniform(0.07, 0.15) if slow else rng.uniform(0.15, 0.3)
            return radius, anywhere, rng.uniform(min(0.7, 0.8 * most), most)
        case "bounce":  # half a bounce more or less, starting on the ground or, now and then, anywhere
            least = 0.12 if slow else 0.2
            phase = anywhere if rng.random() < 0.25 * nuisance else 0.0
            halves, most = 2 * int(rng.integers(2, 4)), 2 * int(3.5 * length)
            if rng.random() < 0.5 * nuisance:
                halves, most = int(rng.integers(3, 8)), int(7 * length)
            return rng.uniform(least, 0.45), phase, min(halves, most) / 2
        case "shake":
            return rng.uniform(0.04, 0.1), anywhere, min(rng.uniform(2.2, 3.4), 3.4 * length)
        case "blink":
            return rng.uniform(0, 1), 0.0, min(rng.uniform(1.8, 3.2), 3.4 * length)
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


# To and fro, on and off: what shows only by repeating takes most of the clip.
_CYCLIC = frozenset({"bounce", "shake", "blink", "zigzag", "pulse", "swing", "spiral", "flip", "jump", "wobble"})
_SHORTEST_CYCLES = 0.6
