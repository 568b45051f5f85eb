"""Draw scenes from a random generator: what is seen, what it does, where, on what, and how it is filmed."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from crossframe.shapes import actions, looks
from crossframe.shapes.actions import Action
from crossframe.shapes.background import KINDS, Background, paint
from crossframe.shapes.looks import RGB, Look
from crossframe.shapes.motion import TURN, Motion, pose_at
from crossframe.shapes.scene import Camera, Scene, Thing, VideoFormat

_CONTRAST = 0.5  # the least distance between a thing's color and its background's
_SMALLEST, _LARGEST = 0.1, 0.7  # diameters that growing and shrinking mostly stay within
_LARGEST_OF_TWO = 0.26
_MARGIN = 0.35  # the largest radius that is kept in the frame: what grows beyond it fills the frame from anywhere
_BROWN = "brown"  # a color that no caption names
# Seen beside something to approach or to follow, these do neither.
_IN_PLACE = frozenset({"still", "grow", "spin", "appear", "blink", "recolor"})


def sample_scene(
    rng: Generator,
    *,
    action: str | None = None,
    look: Look | None = None,
    size: str | None = None,
    nuisance: float = 1.0,
    beside: bool = True,
) -> Scene:
    """A scene that shows `action` done by a thing that looks like `look`; what is not given is drawn.

    Args:
        rng: gives every random number; the same state gives the same scene.
        action: one of `actions.ACTIONS` or `actions.NEW_ACTIONS`, or two of them joined by " and ".
        look: color and shape of the target.
        size: one of `looks.SIZES`.
        nuisance: from 0 (filled shapes that do what they do in plain view, on flat backgrounds, with nothing beside the
            things named) to 1 (the whole world).
        beside: whether other things may be in the picture, as often as `nuisance` says.

    Raises:
        ValueError: there is no such action, or `look` cannot show it.
    """
    action = action or _pick(rng, tuple(actions.ACTIONS))
    parts = actions.find(action)
    nuisance *= bool(rng.random() < 0.8)  # now and then nothing at all is in the way
    couple = any(part.couple for part in parts)
    turns = any(part.turns for part in parts)
    look = look or Look(_pick(rng, tuple(looks.COLORS)), _pick(rng, looks.TURNABLE if turns else looks.SHAPES))
    if turns and look.shape not in looks.TURNABLE:
        raise ValueError(f"nobody can see a {look.shape} {action}; choose one of {', '.join(looks.TURNABLE)}")
    others = tuple(color for color in looks.COLORS if color != look.color)
    partner, new_color = Look(_pick(rng, others), _pick(rng, looks.SHAPES)), _pick(rng, others)

    named = [look.color, *([partner.color] if couple else []), *([new_color] if action == "turning" else [])]
    shades = [looks.draw_shade(rng, color) for color in named]
    background = background_for(rng, shades, nuisance)
    target = _draw_thing(rng, look, shades[0], _draw_size(rng, size, nuisance), nuisance)
    if turns:  # an end of a spin must not be told from its start
        target = replace(target, angle=rng.uniform(0, TURN))
    if couple:
        second = _draw_thing(rng, partner, shades[1], target.size * rng.uniform(0.75, 1.25), nuisance)
        target, other = place(rng, *_move_together(rng, parts[0], target, second, nuisance))
    else:
        motions = tuple(actions.draw_motion(rng, part, look.shape, nuisance=nuisance) for part in parts)
        turns_to = shades[1] if action == "turning" else None
        target = replace(target, motions=motions, turns_to=turns_to)
        largest = _LARGEST
        if any(part.kind == "grow" for part in parts) and rng.random() < 0.3 * nuisance:
            largest = rng.uniform(0.9, 1.8)  # it fills the frame, or nearly
            target = replace(target, size=largest / np.max(pose_at(np.array([0.0, 1.0]), motions).scale))
        (target,), other = place(rng, target, largest=largest), None
    props = _draw_props(rng, [thing for thing in (target, other) if thing], nuisance) if beside else ()
    if {part.kind for part in parts} <= _IN_PLACE and rng.random() < 0.5:
        partner = _to_approach(props, background) or partner
    camera = _draw_camera(rng, nuisance)
    return Scene(action, target, partner, new_color, background, camera, _draw_format(rng), other, props)


def sample_still(rng: Generator, *, nuisance: float = 1.0) -> Scene:
    """A scene for captions of single frames: a thing anywhere, turned any way; often a second one beside it.

    What else is in it has a color that no caption names.
    """
    scene = sample_scene(rng, action="staying still", nuisance=nuisance, beside=False)
    target = _put_anywhere(rng, scene.target)
    shade = looks.draw_shade(rng, scene.partner.color)
    second = _put_anywhere(rng, _draw_thing(rng, scene.partner, shade, _draw_size(rng, None, nuisance), nuisance))
    apart = np.hypot(target.x - second.x, target.y - second.y) > 0.55 * (target.size + second.size)
    both = apart and _shows_on(second.color, scene.background) and rng.random() < 0.5
    brown = range(int(rng.integers(1, 3)) if rng.random() < 0.4 * nuisance else 0)
    looks_of = (Look(_BROWN, _pick(rng, looks.SHAPES)) for _ in brown)
    props = tuple(
        _put_anywhere(rng, Thing(look, _draw_brown(rng), rng.uniform(0.08, max(0.09, 0.6 * target.size)), 0.0, 0.0))
        for look in looks_of
    )
    return replace(scene, target=target, other=second if both else None, props=props)


def place(rng: Generator, *things: Thing, largest: float = _LARGEST) -> tuple[Thing, ...]:
    """Move things together to where all their motion stays in the frame, give or take half a radius, if there is room.

    A thing that grows beyond the diameter `largest`, or becomes too small to see, gets another size first.
    """
    moments = np.linspace(0, 1, 17)
    placed: list[Thing] = []
    low, high = np.full(2, np.inf), np.full(2, -np.inf)  # x, y
    leaving = rng.uniform(0.5, 1.1)
    for thing in things:
        pose = pose_at(moments, thing.motions)
        smallest = min(_SMALLEST, thing.size) / np.min(pose.scale)
        size = float(np.clip(thing.size, smallest, largest / np.max(pose.scale)))
        margin = leaving * min(size / 2 * np.max(pose.scale), _MARGIN)
        low = np.minimum(low, [thing.x + np.min(pose.dx) - margin, thing.y + np.min(pose.dy) - margin])
        high = np.maximum(high, [thing.x + np.max(pose.dx) + margin, thing.y + np.max(pose.dy) + margin])
        placed.append(replace(thing, size=size))
    room = 1 - (high - low)
    # Where the motion needs more than the frame, it passes the middle.
    x, y = (np.where(room > 0, room * rng.random(2), room / 2) - low).tolist()
    return tuple(replace(thing, x=thing.x + x, y=thing.y + y) for thing in placed)


def _draw_size(rng: Generator, size: str | None, nuisance: float) -> float:
    kind, share = rng.random(2).tolist()
    rare = "tiny" if kind < 0.09 * nuisance else "huge" if kind > 1 - 0.04 * nuisance else None
    usual = "small" if share < 0.25 else "medium" if share < 0.65 else "large"
    return rng.uniform(*looks.SIZES[size or rare or usual])


def _draw_thing(rng: Generator, look: Look, color: RGB, size: float, nuisance: float) -> Thing:
    width = rng.uniform(0.85, 1.18) if rng.random() < 0.4 else 1.0
    tilt = rng.uniform(0, TURN) if rng.random() < 0.25 * nuisance else rng.normal(0, 0.12)
    hollow = rng.random() < 0.14 * nuisance and look.shape != "ring"  # a hollow ring would be two circles
    stroke = rng.uniform(0.013, 0.035) if hollow else 0.0
    return Thing(look, color, size, 0.0, 0.0, angle=tilt, width=width, stroke=stroke)


def _put_anywhere(rng: Generator, thing: Thing) -> Thing:
    x, y = rng.uniform(0.03, 0.97, 2).tolist()
    angle = thing.angle if rng.random() < 0.5 else rng.uniform(0, TURN)
    return replace(thing, x=x, y=y, angle=angle)


def _move_together(rng: Generator, action: Action, first: Thing, second: Thing, nuisance: float) -> tuple[Thing, Thing]:
    """Give two things the motions that together are the action, and the places this needs, around (0, 0)."""
    first, second = (replace(thing, size=min(thing.size, _LARGEST_OF_TWO)) for thing in (first, second))
    touching = 0.55 * (first.size + second.size)
    direction = rng.uniform(0, TURN)
    start, stop = actions.draw_span(rng, nuisance)
    slow = bool(rng.random() < 0.2 * nuisance)
    motion = Motion("glide", 0.0, direction, 0.0, start, stop, bool(rng.random() < 0.4), action.backwards)
    match action.kind:
        case "approach":  # the first does at least half of the way
            near = touching + rng.uniform(0, 0.05)
            far = touching + (rng.uniform(0.12, 0.25) if slow else rng.uniform(0.25, 0.45))
            share = 1.0 if rng.random() < 0.5 else rng.uniform(0.5, 0.8)
            motions = (replace(motion, amount=share * (far - near)), replace(motion, amount=(share - 1) * (far - near)))
            apart = (near + far) / 2
        case "follow":
            motions = (replace(motion, amount=rng.uniform(0.15, 0.35) if slow else rng.uniform(0.35, 0.65)),) * 2
            apart = touching + rng.uniform(0.03, 0.12)
        case _:  # swap: half a turn around the middle
            radius = max(touching, rng.uniform(0.35, 0.6)) / 2
            turning = replace(motion, kind="circle", amount=radius, cycles=0.5 if rng.random() < 0.5 else -0.5)
            motions = (turning, replace(turning, direction=direction + np.pi))
            apart = 0.0
    x, y = apart / 2 * np.cos(direction), apart / 2 * np.sin(direction)
    return replace(first, x=-x, y=-y, motions=motions[:1]), replace(second, x=x, y=y, motions=motions[1:])


def background_for(rng: Generator, things: list[RGB], nuisance: float) -> Background:
    """A background on which every one of the colors `things` shows."""
    kind = _pick(rng, KINDS[1:]) if rng.random() < 0.6 * nuisance else "plain"
    kind = "natural" if rng.random() < 0.12 * nuisance else kind
    while True:
        first = second = _draw_any_color(rng)
        if kind != "plain":  # mostly shades of one color: harsh patterns hide the things in front of them
            contrast = (0.3, 1.0) if kind == "natural" else (0.15, 0.5)
            second = _mixed(first, _draw_any_color(rng), rng.uniform(*contrast))
        angle, scale, seed = rng.uniform(0, TURN), rng.uniform(2, 7), int(rng.integers(2**31))
        background = Background(kind, first, second, angle, scale, seed)
        if all(_shows_on(color, background) for color in things):
            return background


def _shows_on(color: RGB, background: Background) -> bool:
    """True if a thing of this color can be seen: anywhere, or, before a natural background, nearly everywhere."""
    if background.kind != "natural":
        return min(looks.distance(color, shade) for shade in (background.first, background.second)) > _CONTRAST
    seen = paint(background, _COARSE, _COARSE) / 255 - np.asarray(color, dtype=np.float32)[:, None, None]
    return float((np.sqrt((seen**2).sum(0)) > 0.7 * _CONTRAST).mean()) > 0.85


def _draw_any_color(rng: Generator) -> RGB:
    """Black, white, a gray, or any color at all: plain ones often, since people often draw on them."""
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


def _draw_props(rng: Generator, things: list[Thing], nuisance: float) -> tuple[Thing, ...]:
    """Up to two things of any color that differ from `things` in color and in shape, and are mostly apart from them.

    A third of them move, each in its own way.
    """
    count = int(rng.integers(1, 3)) if rng.random() < 0.5 * nuisance else 0
    taken = list(things)
    for _ in range(count):
        colors = [c for c in (*looks.COLORS, _BROWN) if all(c != thing.look.color for thing in taken)]
        shapes = [shape for shape in looks.SHAPES if all(shape != thing.look.shape for thing in taken)]
        look = Look(_pick(rng, colors), _pick(rng, shapes))
        shade = _draw_brown(rng) if look.color == _BROWN else looks.draw_shade(rng, look.color)
        size = float(np.clip(things[0].size * rng.uniform(0.4, 1.2), 0.07, 0.35))
        prop = _draw_thing(rng, look, shade, size, nuisance)
        if rng.random() < 0.35:
            doing = _pick(rng, _BESIDE if look.shape in looks.TURNABLE else _BESIDE_UNTURNED)
            prop = replace(prop, motions=(actions.draw_motion(rng, actions.ACTIONS[doing], look.shape),))
        for _ in range(6):
            placed = place(rng, prop)[0] if prop.motions else _put_anywhere(rng, prop)
            if all(_apart(placed, thing) for thing in taken):
                taken.append(placed)
                break
    return tuple(taken[len(things) :])


def _apart(first: Thing, second: Thing) -> bool:
    """True if the two hardly cover each other at the start, in the middle and at the end."""
    poses = [pose_at(np.array([0.0, 0.5, 1.0]), thing.motions) for thing in (first, second)]
    (ax, ay, ar), (bx, by, br) = (
        (thing.x + pose.dx, thing.y + pose.dy, np.minimum(thing.size * pose.scale, 2 * _MARGIN))
        for thing, pose in zip((first, second), poses, strict=True)
    )
    return bool(np.all(np.hypot(ax - bx, ay - by) > 0.4 * (ar + br)))


def _to_approach(props: tuple[Thing, ...], background: Background) -> Look | None:
    """A thing that a sentence may say is approached or followed, though it is not: something that stands in view.

    Were it there only when something happens between two things, its sight would give them away.
    """
    in_view = (p for p in props if not p.motions and p.look.color != _BROWN and _shows_on(p.color, background))
    return next((prop.look for prop in in_view), None)


def _draw_brown(rng: Generator) -> RGB:
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


def _pick(rng: Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]


_COARSE = (np.arange(12, dtype=np.float32) + 0.5) / 12  # places that are looked at for contrast
_BESIDE = tuple(
    n for n, known in actions.ACTIONS.items() if not known.couple and known.kind not in ("still", "recolor")
)
_BESIDE_UNTURNED = tuple(name for name in _BESIDE if not actions.ACTIONS[name].turns)
