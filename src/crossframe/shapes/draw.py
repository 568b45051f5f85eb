"""Draw scenes from a random generator: what is seen, what it does, where, on what, and how it is filmed."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from crossframe.shapes import actions, looks
from crossframe.shapes.actions import Action
from crossframe.shapes.background import KINDS, Background
from crossframe.shapes.looks import RGB, Look
from crossframe.shapes.motion import TURN, Motion, pose_at
from crossframe.shapes.scene import Camera, Scene, Thing, VideoFormat

_CONTRAST = 0.5  # the least distance between a thing's colour and its background's
_SMALLEST, _LARGEST = 0.1, 0.7  # diameters that growing and shrinking stay within
_LARGEST_OF_TWO = 0.26


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

    Raises:
        ValueError: there is no such action, or `look` cannot show it.
    """
    action = action or _pick(rng, tuple(actions.ACTIONS))
    parts = actions.find(action)
    couple = any(part.couple for part in parts)
    turns = any(part.turns for part in parts)
    look = look or Look(_pick(rng, tuple(looks.COLOURS)), _pick(rng, looks.TURNABLE if turns else looks.SHAPES))
    if turns and look.shape not in looks.TURNABLE:
        raise ValueError(f"nobody can see a {look.shape} {action}; choose one of {', '.join(looks.TURNABLE)}")
    others = tuple(colour for colour in looks.COLOURS if colour != look.colour)
    partner, new_colour = Look(_pick(rng, others), _pick(rng, looks.SHAPES)), _pick(rng, others)

    named = [look.colour, *([partner.colour] if couple else []), *([new_colour] if action == "turning" else [])]
    shades = [looks.draw_shade(rng, colour) for colour in named]
    background = _draw_background(rng, shades, nuisance)
    target = _draw_thing(rng, look, shades[0], _draw_size(rng, size))
    if couple:
        second = _draw_thing(rng, partner, shades[1], target.size * rng.uniform(0.75, 1.25))
        target, other = place(rng, *_move_together(rng, parts[0], target, second))
    else:
        motions = tuple(actions.draw_motion(rng, part, look.shape) for part in parts)
        turns_to = shades[1] if action == "turning" else None
        (target,), other = place(rng, replace(target, motions=motions, turns_to=turns_to)), None
    props = _draw_props(rng, target.size, nuisance)
    camera = _draw_camera(rng, nuisance)
    return Scene(action, target, partner, new_colour, background, camera, _draw_format(rng), other, props)


def sample_still(rng: Generator, *, nuisance: float = 1.0) -> Scene:
    """A scene for captions of single frames: a thing anywhere, turned any way; often a second one beside it."""
    scene = sample_scene(rng, action="staying still", nuisance=nuisance)
    target = _put_anywhere(rng, scene.target)
    second = _draw_thing(rng, scene.partner, looks.draw_shade(rng, scene.partner.colour), _draw_size(rng, None))
    second = _put_anywhere(rng, second)
    apart = np.hypot(target.x - second.x, target.y - second.y) > 0.55 * (target.size + second.size)
    both = apart and _shows_on(second.colour, scene.background) and rng.random() < 0.5
    return replace(scene, target=target, other=second if both else None)


def place(rng: Generator, *things: Thing) -> tuple[Thing, ...]:
    """Move things together to where all their motion stays in the frame, give or take half a radius, if there is room.

    A thing that grows beyond all bounds, or becomes too small to see, gets another size first.
    """
    moments = np.linspace(0, 1, 17)
    placed: list[Thing] = []
    low, high = np.full(2, np.inf), np.full(2, -np.inf)  # x, y
    leaving = rng.uniform(0.5, 1.1)
    for thing in things:
        pose = pose_at(moments, thing.motions)
        size = float(np.clip(thing.size, _SMALLEST / np.min(pose.scale), _LARGEST / np.max(pose.scale)))
        margin = leaving * size / 2 * np.max(pose.scale)
        low = np.minimum(low, [thing.x + np.min(pose.dx) - margin, thing.y + np.min(pose.dy) - margin])
        high = np.maximum(high, [thing.x + np.max(pose.dx) + margin, thing.y + np.max(pose.dy) + margin])
        placed.append(replace(thing, size=size))
    room = 1 - (high - low)
    # Where the motion needs more than the frame, it passes the middle.
    x, y = (np.where(room > 0, room * rng.random(2), room / 2) - low).tolist()
    return tuple(replace(thing, x=thing.x + x, y=thing.y + y) for thing in placed)


def _draw_size(rng: Generator, size: str | None) -> float:
    small, medium = 0.25, 0.65
    share = rng.random()
    return rng.uniform(*looks.SIZES[size or ("small" if share < small else "medium" if share < medium else "large")])


def _draw_thing(rng: Generator, look: Look, colour: RGB, size: float) -> Thing:
    width = rng.uniform(0.85, 1.18) if rng.random() < 0.4 else 1.0
    return Thing(look, colour, size, 0.0, 0.0, angle=rng.normal(0, 0.12), width=width)


def _put_anywhere(rng: Generator, thing: Thing) -> Thing:
    x, y = rng.uniform(0.03, 0.97, 2).tolist()
    angle = thing.angle if rng.random() < 0.5 else rng.uniform(0, TURN)
    return replace(thing, x=x, y=y, angle=angle)


def _move_together(rng: Generator, action: Action, first: Thing, second: Thing) -> tuple[Thing, Thing]:
    """Give two things the motions that together are the action, and the places this needs, around (0, 0)."""
    first, second = (replace(thing, size=min(thing.size, _LARGEST_OF_TWO)) for thing in (first, second))
    touching = 0.55 * (first.size + second.size)
    direction = rng.uniform(0, TURN)
    start, stop = actions.draw_span(rng)
    motion = Motion("glide", 0.0, direction, 0.0, start, stop, bool(rng.random() < 0.4), action.backwards)
    match action.kind:
        case "approach":  # the first does at least half of the way
            near, far = touching + rng.uniform(0, 0.05), touching + rng.uniform(0.25, 0.45)
            share = 1.0 if rng.random() < 0.5 else rng.uniform(0.5, 0.8)
            motions = (replace(motion, amount=share * (far - near)), replace(motion, amount=(share - 1) * (far - near)))
            apart = (near + far) / 2
        case "follow":
            motions = (replace(motion, amount=rng.uniform(0.35, 0.65)),) * 2
            apart = touching + rng.uniform(0.03, 0.12)
        case _:  # swap: half a turn around the middle
            radius = max(touching, rng.uniform(0.35, 0.6)) / 2
            turning = replace(motion, kind="circle", amount=radius, cycles=0.5 if rng.random() < 0.5 else -0.5)
            motions = (turning, replace(turning, direction=direction + np.pi))
            apart = 0.0
    x, y = apart / 2 * np.cos(direction), apart / 2 * np.sin(direction)
    return replace(first, x=-x, y=-y, motions=motions[:1]), replace(second, x=x, y=y, motions=motions[1:])


def _draw_background(rng: Generator, things: list[RGB], nuisance: float) -> Background:
    """A background on which every one of the colours `things` shows."""
    kind = _pick(rng, KINDS[1:]) if rng.random() < 0.6 * nuisance else "plain"
    while True:
        first = second = _draw_any_colour(rng)
        if kind != "plain":  # mostly shades of one colour: harsh patterns hide the things in front of them
            second = _mixed(first, _draw_any_colour(rng), rng.uniform(0.15, 0.5))
        background = Background(kind, first, second)
        if all(_shows_on(colour, background) for colour in things):
            break
    angle, scale, seed = rng.uniform(0, TURN), rng.uniform(2, 7), int(rng.integers(2**31))
    return replace(background, angle=angle, scale=scale, seed=seed)


def _shows_on(colour: RGB, background: Background) -> bool:
    return min(looks.distance(colour, shade) for shade in (background.first, background.second)) > _CONTRAST


def _draw_any_colour(rng: Generator) -> RGB:
    """Black, white, a grey, or any colour at all: plain ones often, since people often draw on them."""
    kind, (red, green, blue) = rng.random(), rng.random(3).tolist()
    if kind < 0.15:
        return (0.0, 0.0, 0.0)
    if kind < 0.3:
        return (1.0, 1.0, 1.0)
    if kind < 0.55:
        return (red, red, red)
    return (red, green, blue)


def _mixed(first: RGB, second: RGB, share: float) -> RGB:
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def _draw_props(rng: Generator, size: float, nuisance: float) -> tuple[Thing, ...]:
    """Up to two still things, smaller than the target, in colours that no caption names."""
    count = int(rng.integers(1, 3)) if rng.random() < 0.4 * nuisance else 0
    return tuple(
        _put_anywhere(
            rng,
            Thing(
                Look("dull", _pick(rng, looks.SHAPES)),
                _draw_dull_colour(rng),
                rng.uniform(0.08, max(0.09, 0.6 * size)),
                0.0,
                0.0,
            ),
        )
        for _ in range(count)
    )


def _draw_dull_colour(rng: Generator) -> RGB:
    if rng.random() < 0.7:
        grey = rng.uniform(0.0, 0.65)
        return (grey, grey, grey)
    return colorsys.hsv_to_rgb(rng.uniform(0.06, 0.09), rng.uniform(0.5, 0.7), rng.uniform(0.25, 0.42))


def _draw_camera(rng: Generator, nuisance: float) -> Camera:
    shake = rng.uniform(0.005, 0.02) if rng.random() < 0.35 * nuisance else 0.0
    grain = rng.uniform(2, 14) if rng.random() < 0.5 * nuisance else 0.0
    horizontal, vertical = rng.uniform(0.7, 2.2, 2).tolist()
    x, y = rng.uniform(0, TURN, 2).tolist()
    seed = int(rng.integers(2**31))
    return Camera(shake, (horizontal, vertical), (x, y), grain, seed, soft_edges=bool(rng.random() < 0.7))


def _draw_format(rng: Generator) -> VideoFormat:
    short = (96, 112, 128, 144)[rng.integers(4)]
    wide, tall = ((1, 1), (1, 1), (4, 3), (16, 9), (3, 4))[rng.integers(5)]
    unit = short / min(wide, tall)
    fps = (10, 12, 15, 24, 25, 30)[rng.integers(6)]
    num_frames = max(16, round(fps * rng.uniform(1.0, 2.5)))
    width, height = (2 * round(side * unit / 2) for side in (wide, tall))  # H.264 wants even sides
    return VideoFormat(width, height, fps, num_frames, int(rng.integers(16, 27)))


def _pick(rng: Generator, names: tuple[str, ...]) -> str:
    return names[rng.integers(len(names))]
