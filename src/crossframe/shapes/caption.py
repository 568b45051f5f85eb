"""Scenes in words: captions of single frames (what is where) and of clips (what happens), and candidate sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from numpy.random import Generator

from crossframe.shapes import actions, looks
from crossframe.shapes.actions import ACTIONS, COMPOSITES, NEW_ACTIONS
from crossframe.shapes.looks import Look
from crossframe.shapes.motion import pose_at
from crossframe.shapes.scene import Scene, Thing

# Place words by row and column of a 3 x 3 grid.
PLACES: tuple[tuple[str, str, str], ...] = (
    ("in the top left", "at the top", "in the top right"),
    ("on the left", "in the middle", "on the right"),
    ("in the bottom left", "at the bottom", "in the bottom right"),
)
BACKGROUNDS: dict[str, str] = {
    "plain": "a plain background",
    "gradient": "a shaded background",
    "stripes": "a striped background",
    "checks": "a checked background",
    "clouds": "a cloudy background",
    "specks": "a noisy background",
    "natural": "a natural background",
}
NOTHING = "nothing"

FRAME_TEMPLATES: tuple[str, ...] = ("{}", "a picture of {}", "a drawing of {}", "there is {}")
CLIP_TEMPLATES: tuple[str, ...] = (
    "{thing} {doing}",
    "a video of {thing} {doing}",
    "a clip of {thing} {doing}",
    "there is {thing} {doing}",
    "{thing} is {doing}",
    "{thing} {doing} on {background}",
    "{thing} {doing} while everything else stays still",
)

# Other words for the same thing. "{}" is the partner of the actions of two, or the new color of "turning".
SYNONYMS: dict[str, tuple[str, ...]] = {
    "moving left": ("moving to the left", "going left", "sliding left"),
    "moving right": ("moving to the right", "going right", "sliding right"),
    "moving up": ("moving upwards", "going up", "rising"),
    "moving down": ("moving downwards", "going down", "falling"),
    "growing": ("getting bigger", "getting larger"),
    "shrinking": ("getting smaller",),
    "spinning clockwise": ("rotating clockwise",),
    "spinning anticlockwise": ("rotating anticlockwise", "spinning counterclockwise"),
    "circling clockwise": ("going around clockwise", "moving in a circle clockwise"),
    "circling anticlockwise": ("going around anticlockwise", "circling counterclockwise"),
    "appearing": ("coming into view", "fading in"),
    "vanishing": ("disappearing", "fading out"),
    "bouncing": ("bouncing up and down", "hopping"),
    "shaking": ("trembling",),
    "blinking": ("flashing on and off",),
    "staying still": ("not moving", "standing still"),
    "turning": ("becoming {}", "changing color to {}"),
    "approaching": ("moving towards {}", "getting closer to {}"),
    "moving away from": ("leaving {}", "getting further from {}"),
    "following": ("chasing {}", "moving behind {}"),
    "leading": ("followed by {}", "moving ahead of {}"),
    "swapping places with": ("changing places with {}",),
}


def named(look: Look, size: str | None = None) -> str:
    """The thing with its article: "a red circle", "an orange star", "a large orange star"."""
    words = f"{size} {look}" if size else str(look)
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def doing(action: str, partner: Look, new_color: str) -> str:
    """The words after the thing in the plain sentence: "moving left", "turning blue", "following a green star"."""
    if action == "turning":
        return f"turning {new_color}"
    if any(part.couple for part in actions.find(action)):
        return f"{action} {named(partner)}"
    return action


def sentence(scene: Scene) -> str:
    """The one plain sentence of a scene, which is also its label: "a red circle moving left"."""
    return f"{named(scene.target.look)} {doing(scene.action, scene.partner, scene.new_color)}"


def all_sentences(scene: Scene, among: Iterable[str] = tuple(ACTIONS)) -> dict[str, str]:
    """A sentence for every action that the scene's target could do, by action; exactly one of them is true.

    Spinning is left out for things that look the same however they are turned. An action of the scene that is not in
    `among` is left out too.
    """
    turnable = scene.target.look.shape in looks.TURNABLE
    possible = (a for a in among if turnable or not any(part.turns for part in actions.find(a)))
    thing = named(scene.target.look)
    return {action: f"{thing} {doing(action, scene.partner, scene.new_color)}" for action in possible}


def clip_caption(scene: Scene, rng: Generator) -> str:
    """A caption of the whole clip in drawn words; the plain sentence about half of the time."""
    if rng.random() < 0.4:
        return sentence(scene)
    verbs = doing(scene.action, scene.partner, scene.new_color)
    if scene.action in SYNONYMS and rng.random() < 0.5:
        synonym = SYNONYMS[scene.action][rng.integers(len(SYNONYMS[scene.action]))]
        verbs = synonym.format(scene.new_color if scene.action == "turning" else named(scene.partner))
    resizes = any(part.kind in ("grow", "pulse") for part in actions.find(scene.action))
    size = looks.size_word(scene.target.size) if rng.random() < 0.3 and not resizes else None
    template = CLIP_TEMPLATES[rng.integers(len(CLIP_TEMPLATES) - (1 if scene.other else 0))]
    background = BACKGROUNDS[scene.background.kind]
    return template.format(thing=named(scene.target.look, size), doing=verbs, background=background)


def frame_caption(scene: Scene, moment: float, rng: Generator | None = None) -> str:
    """A caption of the frame at `moment`: color, shape, mostly size and place; all of them without a generator."""
    things = [scene.target] if scene.other is None else [scene.target, scene.other]
    described = [words for thing in things if (words := _describe(scene, thing, moment, rng))]
    content = " and ".join(described) or NOTHING
    if rng is None:
        return content
    if rng.random() < 0.15:
        content = f"{content} on {BACKGROUNDS[scene.background.kind]}"
    return FRAME_TEMPLATES[rng.choice(len(FRAME_TEMPLATES), p=(0.7, 0.1, 0.1, 0.1))].format(content)


def _describe(scene: Scene, thing: Thing, moment: float, rng: Generator | None) -> str | None:
    """One thing in words as it is at `moment`, or None where it cannot be seen."""
    t = 1 - moment if scene.backwards else moment
    pose = pose_at(np.array([t]), thing.motions)
    x, y, scale, opacity, mix = (
        float(np.asarray(value).flat[0])
        for value in (thing.x + pose.dx, thing.y + pose.dy, pose.scale, pose.opacity, pose.mix)
    )
    if opacity < 0.3:
        return None
    look = Look(scene.new_color, thing.look.shape) if mix > 0.5 else thing.look
    says_size, says_place = (True, True) if rng is None else (rng.random() < 0.6, rng.random() < 0.8)
    words = named(look, looks.size_word(thing.size * scale) if says_size else None)
    return f"{words} {place_words(x, y)}" if says_place else words


def place_words(x: float, y: float) -> str:
    """Where a point of the frame is: one of `PLACES`.

    >>> place_words(0.1, 0.5), place_words(0.9, 0.9)
    ('on the left', 'in the bottom right')
    """
    column, row = (0 if value < 0.36 else 1 if value < 0.64 else 2 for value in (x, y))
    return PLACES[row][column]


def corpus() -> Iterator[str]:
    """Sentences with every word and phrase of this world, from which a vocabulary is learned."""
    partners = looks.LOOKS[27:] + looks.LOOKS[:27]
    names = (*ACTIONS, *NEW_ACTIONS, *(" and ".join(pair) for pair in COMPOSITES))
    for look, partner in zip(looks.LOOKS, partners, strict=True):
        for action in names:
            yield f"{named(look)} {doing(action, partner, partner.color)}"
        for action, synonyms in SYNONYMS.items():
            completion = partner.color if action == "turning" else named(partner)
            yield from (f"{named(look)} {synonym.format(completion)}" for synonym in synonyms)
        for template, background in product(CLIP_TEMPLATES, BACKGROUNDS.values()):
            yield template.format(thing=named(look), doing="staying still", background=background)
        for size, row in product(looks.SIZES, PLACES):
            yield from (f"{named(look, size)} {place} and {named(partner)} on {BACKGROUNDS['plain']}" for place in row)
    yield from (template.format(NOTHING) for template in FRAME_TEMPLATES)
