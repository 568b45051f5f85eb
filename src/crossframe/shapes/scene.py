"""A scene is everything a clip shows, as plain data; `sample_scene` draws one from a random generator.

Lengths are shares of the frame's short side, and (0, 0) to (1, 1) is the square in the middle of the frame, where
things happen: a centre crop loses nothing. Things that the caption names have the colours of `looks.COLOURS`; props,
which stand still and are never named, are black, grey or brown, so that no caption of another thing is true by
accident.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from crossframe.shapes import actions, looks
from crossframe.shapes.actions import Motion
from crossframe.shapes.background import Background
from crossframe.shapes.looks import RGB, Look

PATTERNS = ("gradient", "stripes", "checks", "clouds", "specks")


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in the picture: its name, its colour, where it is in the middle of its motions, and the motions."""

    look: Look
    colour: RGB
    size: float  # diameter
    x: float
    y: float
    angle: float = 0.0
    motions: tuple[Motion, ...] = ()
    turns_to: RGB | None = None  # the colour it has where the pose's mix is 1


@dataclass(frozen=True, slots=True)
class Camera:
    """What the camera adds: a shaking hand (`shake`, the largest shift) and grain (standard deviation, of 255)."""

    shake: float = 0.0
    speed: tuple[float, float] = (1.0, 1.0)
    phase: tuple[float, float] = (0.0, 0.0)
    grain: float = 0.0
    soft_edges: bool = True


@dataclass(frozen=True, slots=True)
class Film:
    """How the clip is written to a file."""

    width: int
    height: int
    fps: int
    num_frames: int
    quality: int  # H.264's constant rate factor: smaller is better


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole clip. `partner` and `new_colour` complete the sentences of all actions, also of those not shown."""

    action: str
    target: Thing
    partner: Look
    new_colour: str
    background: Background
    camera: Camera
    film: Film
    other: Thing | None = None  # the partner, where the action takes two
    props: tuple[Thing, ...] = ()
    backwards: bool = False  # time runs from the end to the start, for everything in the scene


def reverse(scene: Scene) -> Scene:
    """The same frames in the opposite order, under the name of the opposite action."""
    if scene.action == "turning":
        raise ValueError(
            "'turning' in reverse starts from another colour, so it has no reversed scene of the same thing"
        )
    return replace(scene, action=actions.opposite(scene.action), backwards=not scene.backwards)


def sample_scene(
    rng: Generator,
    *,
    action: str | None = None,
    look: Look | None = None,
    size: str | None = None,
    nuisance: float = 1.0,
) -> Scene:
    """A scene that shows `action` done by a thing that looks like `look`; what is not given is drawn.

    Args:
        rng: gives every random number; the same state gives the same scene.
        action: one of `actions.ACTIONS` or `actions.NEW_ACTIONS`, or two of them joined by " and ".
        look: colour and shape of the target.
        size: one of `looks.SIZES`.
        nuisance: from 0 (flat backgrounds, nothing beside the things named) to 1 (the whole world).
    """
    action = action or str(rng.choice(tuple(actions.ACTIONS)))
    parts = actions.find(action)
    couple = any(part.couple for part in parts)
    look = look or draw_look(rng, turnable=any(part.turns for part in parts))
    partner = Look(_other_than(rng, tuple(looks.COLOURS), look.colour), str(rng.choice(looks.SHAPES)))
    new_colour = _other_than(rng, tuple(looks.COLOURS), look.colour)

    colour, partner_colour, turned_colour = (
        looks.draw_shade(rng, c) for c in (look.colour, partner.colour, new_colour)
    )
    seen = [colour, *([partner_colour] if couple else []), *([turned_colour] if action == "turning" else [])]
    background = _draw_background(rng, seen, nuisance)
    diameter = rng.uniform(*looks.SIZES[size or str(rng.choice(tuple(looks.SIZES), p=(0.25, 0.4, 0.35)))])
    angle = rng.normal(0, 0.12)
    if couple:
        target, other = _draw_couple(rng, parts[0], (look, partner), (colour, partner_colour), min(diameter, 0.3))
    else:
        motions = tuple(actions.draw_motion(rng, part, look.shape) for part in parts)
        turns_to = turned_colour if action == "turning" else None
        target, other = place(rng, Thing(look, colour, diameter, 0.5, 0.5, angle, motions, turns_to)), None
    props = _draw_props(rng, target.size, background, nuisance)
    camera = _draw_camera(rng, nuisance)
    return Scene(action, target, partner, new_colour, background, camera, _draw_film(rng), other, props)


def sample_still(rng: Generator, *, nuisance: float = 1.0) -> Scene:
    """A scene for captions of single frames: one thing, or two in a third of the cases, anywhere, turned any way."""
    scene = sample_scene(rng, action="staying still", nuisance=nuisance)
    angle = scene.target.angle if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
    target = replace(scene.target, x=rng.uniform(0.05, 0.95), y=rng.uniform(0.05, 0.95), angle=float(angle))
    if rng.random() > 1 / 3:
        return replace(scene, target=target)
    colour = looks.draw_shade(rng, scene.partner.colour)
    for _ in range(20):
        if _shows_on(colour, scene.background):
            break
        colour = looks.draw_shade(rng, scene.partner.colour)
    else:
        return replace(scene, target=target)
    target = replace(target, size=min(target.size, 0.3))
    for _ in range(20):
        x, y = rng.uniform(0.05, 0.95, 2)
        other = Thing(
            scene.partner, colour, rng.uniform(0.7, 1.3) * target.size, float(x), float(y), rng.normal(0, 0.12)
        )
        if np.hypot(x - target.x, y - target.y) > 0.6 * (target.size + other.size):
            return replace(scene, target=target, other=other)
    return replace(scene, target=target)


def draw_look(rng: Generator, *, turnable: bool = False) -> Look:
    """Any colour and any shape, or with `turnable` any shape that shows how it is turned."""
    shapes = looks.TURNABLE if turnable else looks.SHAPES
    return Look(str(rng.choice(tuple(looks.COLOURS))), str(rng.choice(shapes)))


def place(rng: Generator, thing: Thing) -> Thing:
    """Put the thing where its whole motion stays in the frame, give or take half its radius, if that is possible."""
    pose = actions.pose(thing.motions, np.linspace(0, 1, 17))
    radius = float(np.max(pose.scale)) * thing.size / 2
    margin = radius * rng.uniform(0.5, 1.1)
    x, y = (
        _draw_within(rng, margin - float(np.min(shift)), 1 - margin - float(np.max(shift)))
        for shift in (pose.dx, pose.dy)
    )
    return replace(thing, x=x, y=y)


def _draw_within(rng: Generator, low: float, high: float) -> float:
    return rng.uniform(low, high) if low < high else (low + high) / 2


def _other_than(rng: Generator, names: tuple[str, ...], name: str) -> str:
    return str(rng.choice([other for other in names if other != name]))


def _draw_couple(
    rng: Generator, action: actions.Action, names: tuple[Look, Look], colours: tuple[RGB, RGB], size: float
) -> tuple[Thing, Thing]:
    """Two things whose motions together are the action, placed around a common middle."""
    sizes = (size, min(size * rng.uniform(0.75, 1.25), 0.3))
    touching = 0.55 * (sizes[0] + sizes[1])
    direction = rng.uniform(0, actions.TURN)
    start, stop = (0.0, 1.0) if rng.random() < 0.6 else (rng.uniform(0, 0.2), rng.uniform(0.8, 1))
    motion = Motion("glide", 0.0, direction, 0.0, start, stop, bool(rng.random() < 0.4), action.backwards)
    match action.kind:
        case "approach":  # the target does at least half of the way
            near, far = touching + rng.uniform(0, 0.05), touching + rng.uniform(0.3, 0.45)
            share = 1.0 if rng.random() < 0.5 else rng.uniform(0.5, 0.8)
            travels = (share * (far - near), -(1 - share) * (far - near))
            motions = tuple(replace(motion, amount=travel) for travel in travels)
            apart = (near + far) / 2
        case "follow":
            motions = (replace(motion, amount=rng.uniform(0.35, 0.7)),) * 2
            apart = touching + rng.uniform(0.03, 0.12)
        case _:  # swap: half a turn around the middle
            radius = max(touching, rng.uniform(0.35, 0.6)) / 2
            half = rng.choice([-0.5, 0.5])
            turning = replace(motion, kind="circle", amount=radius, cycles=float(half))
            motions = (turning, replace(turning, direction=direction + np.pi))
            apart = 0.0
    x, y = rng.uniform(0.42, 0.58, 2)
    shift = (apart / 2 * np.cos(direction), apart / 2 * np.sin(direction))
    first, second = (
        Thing(
            names[i], colours[i], sizes[i], float(x + sign * shift[0]), float(y + sign * shift[1]), rng.normal(0, 0.12)
        )
        for i, sign in enumerate((-1, 1))
    )
    return replace(first, motions=motions[:1]), replace(second, motions=motions[1:])


def _draw_background(rng: Generator, things: list[RGB], nuisance: float) -> Background:
    """A background on which every one of the colours `things` shows."""
    kind = str(rng.choice(PATTERNS)) if rng.random() < 0.6 * nuisance else "plain"
    while True:
        first = _draw_any_colour(rng)
        # Mostly shades of one colour: harsh patterns hide the things in front of them.
        second = _mixed(first, _draw_any_colour(rng), rng.uniform(0.15, 0.5)) if kind != "plain" else first
        background = Background(kind, first, second)
        if all(_shows_on(colour, background) for colour in things):
            break
    return replace(
        background, angle=rng.uniform(0, actions.TURN), scale=rng.uniform(2, 7), seed=int(rng.integers(2**31))
    )


def _shows_on(colour: RGB, background: Background) -> bool:
    return min(looks.distance(colour, shade) for shade in (background.first, background.second)) > 0.45


def _draw_any_colour(rng: Generator) -> RGB:
    """Black, white, a grey, or any colour at all, each as likely as it is in people's drawings, roughly."""
    kind, level = rng.random(), rng.random()
    if kind < 0.15:
        return (0.0, 0.0, 0.0)
    if kind < 0.3:
        return (1.0, 1.0, 1.0)
    if kind < 0.55:
        return (level, level, level)
    red, green, blue = rng.random(3)
    return (float(red), float(green), float(blue))


def _mixed(first: RGB, second: RGB, share: float) -> RGB:
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def _draw_props(rng: Generator, size: float, background: Background, nuisance: float) -> tuple[Thing, ...]:
    """Up to two still things, smaller than the target, in colours that no caption names."""
    count = int(rng.integers(1, 3)) if rng.random() < 0.4 * nuisance else 0
    return tuple(
        Thing(
            Look("dull", str(rng.choice(looks.SHAPES))),
            _draw_dull_colour(rng),
            rng.uniform(0.08, max(0.09, 0.6 * size)),
            rng.uniform(0.05, 0.95),
            rng.uniform(0.05, 0.95),
            rng.uniform(0, actions.TURN),
        )
        for _ in range(count)
    )


def _draw_dull_colour(rng: Generator) -> RGB:
    if rng.random() < 0.7:
        grey = rng.uniform(0.0, 0.65)
        return (grey, grey, grey)
    return colorsys.hsv_to_rgb(rng.uniform(0.06, 0.09), rng.uniform(0.5, 0.7), rng.uniform(0.25, 0.42))


def _draw_camera(rng: Generator, nuisance: float) -> Camera:
    shake = rng.uniform(0.005, 0.025) if rng.random() < 0.35 * nuisance else 0.0
    grain = rng.uniform(2, 14) if rng.random() < 0.5 * nuisance else 0.0
    speed, phase = rng.uniform(0.7, 2.2, 2), rng.uniform(0, actions.TURN, 2)
    soft = bool(rng.random() < 0.7)
    return Camera(shake, (float(speed[0]), float(speed[1])), (float(phase[0]), float(phase[1])), grain, soft)


def _draw_film(rng: Generator) -> Film:
    short = int(rng.choice((96, 112, 128, 144)))
    width, height = ((1, 1), (4, 3), (16, 9), (3, 4))[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))]
    unit = short / min(width, height)
    fps = int(rng.choice((10, 12, 15, 24, 25, 30)))
    num_frames = max(16, round(fps * rng.uniform(1.0, 2.5)))
    return Film(2 * round(width * unit / 2), 2 * round(height * unit / 2), fps, num_frames, int(rng.integers(16, 27)))
