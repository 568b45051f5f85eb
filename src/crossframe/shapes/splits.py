"""Which clips exist: splits for the paper's three settings, from independent random streams.

- `train`, `val`, `test`: fully supervised; the objects and actions of training, in clips of their own.
- `unseen`: known objects and known actions in combinations that training never shows.
- `zero_shot`: two known actions at once, which training never shows.
- `few_shot_train`, `few_shot_test`: the actions of `actions.NEW_ACTIONS`, which nothing else shows. Actions take
  turns, so the first K clips for each action are the paper's K-shot setting.
- `stills`, `stills_test`: pictures for language-image pretraining, as clips in which nothing moves.

Clip `index` of a split is the same scene for everyone who uses the same seed, whichever clips are made beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.random import Generator

from crossframe.shapes import actions, looks
from crossframe.shapes.actions import ACTIONS, COMPOSITES, NEW_ACTIONS
from crossframe.shapes.draw import sample_scene, sample_still
from crossframe.shapes.looks import LOOKS, Look
from crossframe.shapes.scene import Scene


class Split(StrEnum):
    """The parts of the world; the order fixes their seeds, so new ones go to the end."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    UNSEEN = "unseen"
    ZERO_SHOT = "zero_shot"
    FEW_SHOT_TRAIN = "few_shot_train"
    FEW_SHOT_TEST = "few_shot_test"
    STILLS = "stills"  # single frames for language-image pretraining
    STILLS_TEST = "stills_test"


def split_actions(split: Split) -> tuple[str, ...]:
    """The actions that the clips of a split show."""
    match split:
        case Split.TRAIN | Split.VAL | Split.TEST | Split.UNSEEN:
            return tuple(ACTIONS)
        case Split.ZERO_SHOT:
            return tuple(" and ".join(pair) for pair in COMPOSITES)
        case Split.FEW_SHOT_TRAIN | Split.FEW_SHOT_TEST:
            return tuple(NEW_ACTIONS)
        case Split.STILLS | Split.STILLS_TEST:
            return ("staying still",)


def is_held_out(look: Look, action: str) -> bool:
    """True if this combination of object and action is held out from training; about one in eight is.

    An action and its opposite are held out together; otherwise, such an object moving sideways would always move right.
    Every color and every shape still occurs with every action, just not together.
    """
    family = _FAMILIES[action]
    color, shape = _COLOR_INDEX[look.color], looks.SHAPES.index(look.shape)
    return (color + 3 * shape + 5 * family) % 8 == _HELD_OUT


def split_looks(split: Split, action: str) -> tuple[Look, ...]:
    """The objects that do `action` in a split."""
    turns = any(part.turns for part in actions.find(action))
    able = tuple(look for look in LOOKS if not turns or look.shape in looks.TURNABLE)
    if action not in ACTIONS or split in (Split.STILLS, Split.STILLS_TEST):
        return able
    return tuple(look for look in able if is_held_out(look, action) == (split is Split.UNSEEN))


def clip_rng(split: Split, seed: int, index: int) -> Generator:
    """The random generator of one clip: independent of those of all other clips, splits and seeds."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(list(Split).index(split), index)))


def draw(split: Split | str, seed: int, index: int, *, nuisance: float = 1.0) -> Scene:
    """Clip `index` of a split. Actions take turns, so that all are equally frequent.

    Raises:
        ValueError: there is no such split, or the seed or the index is negative.
    """
    part = parse(split)
    if seed < 0 or index < 0:
        raise ValueError(f"clip {index} of seed {seed} does not exist; use an index and a seed of 0 or more")
    rng = clip_rng(part, seed, index)
    if part in (Split.STILLS, Split.STILLS_TEST):
        return sample_still(rng, nuisance=nuisance)
    names = split_actions(part)
    action = names[index % len(names)]
    able = _LOOKS_OF[part, action]
    return sample_scene(rng, action=action, look=able[rng.integers(len(able))], nuisance=nuisance)


def index_among(split: Split, chosen: Sequence[str], number: int) -> int:
    """The index of clip `number` among those clips of a split that show one of the `chosen` actions.

    Raises ValueError for an action that the split does not show.
    """
    names = split_actions(split)
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"no clip of {split} shows {unknown[0]!r}; its actions are {', '.join(names)}")
    places = [place for place, name in enumerate(names) if name in chosen]
    turn, place = divmod(number, len(places))
    return turn * len(names) + places[place]


def parse(split: Split | str) -> Split:
    """The split of this name."""
    try:
        return Split(split)
    except ValueError:
        raise ValueError(f"there is no split {str(split)!r}; choose from {', '.join(Split)}") from None


# Opposites share the number of their family.
_FAMILIES: dict[str, int] = {}
for _name in ACTIONS:
    _FAMILIES[_name] = _FAMILIES.get(actions.opposite(_name), len(set(_FAMILIES.values())))
_COLOR_INDEX = {color: index for index, color in enumerate(looks.COLORS)}
_HELD_OUT = 1  # the remainder that leaves most of what people draw first (a red circle moving left) in training
_LOOKS_OF = {(split, action): split_looks(split, action) for split in Split for action in split_actions(split)}
