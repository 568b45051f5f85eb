"""What is hard about a clip, by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from crossframe.shapes import splits
from crossframe.shapes.draw import sample_scene
from crossframe.shapes.factors import FACTORS, PLAIN, factors
from crossframe.shapes.looks import Look
from crossframe.shapes.scene import Scene, reverse


def plain(action: str = "moving right") -> Scene:
    """A plain clip of a red star."""
    scene = sample_scene(np.random.default_rng(1), action=action, look=Look("red", "star"), nuisance=0)
    (motion,) = scene.target.motions
    moved = replace(motion, amount=0.4, start=0.0, stop=1.0) if action == "moving right" else motion
    return replace(scene, target=replace(scene.target, motions=(moved,)))


def with_motion(scene: Scene, **changes: float) -> Scene:
    (motion,) = scene.target.motions
    return replace(scene, target=replace(scene.target, motions=(replace(motion, **changes),)))


def test_a_plain_clip_has_none() -> None:
    assert factors(plain()) == (PLAIN,)


@pytest.mark.parametrize(
    ("scene", "name"),
    [
        (replace(plain(), background=replace(plain().background, kind="checks")), "patterned background"),
        (replace(plain(), background=replace(plain().background, kind="natural")), "natural background"),
        (replace(plain(), props=(replace(plain().target, motions=()),)), "something still beside it"),
        (replace(plain(), props=(plain().target,)), "something moving beside it"),
        (replace(plain(), target=replace(plain().target, stroke=0.02)), "hollow"),
        (replace(plain(), target=replace(plain().target, look=Look("gray", "star"))), "black or gray"),
        (replace(plain(), target=replace(plain().target, size=0.09)), "tiny"),
        (with_motion(plain(), amount=0.15), "little movement"),
        (with_motion(plain(), stop=0.25), "early"),
        (with_motion(plain(), start=0.6), "late"),
        (with_motion(plain("growing"), amount=60.0), "fills the frame"),
        (with_motion(plain("bouncing"), cycles=2.5), "bounce cut off"),
        (replace(plain(), camera=replace(plain().camera, grain=5.0)), "grain"),
        (replace(plain(), camera=replace(plain().camera, shake=0.01)), "shaking camera"),
    ],
)
def test_each_is_recognized(scene: Scene, name: str) -> None:
    assert factors(scene) == (name,)


def test_what_is_early_is_late_in_reverse() -> None:
    assert factors(reverse(with_motion(plain(), stop=0.25))) == ("late",)


def test_the_world_has_all_of_them_and_plain_ones() -> None:
    counted = Counter(name for index in range(880) for name in factors(splits.draw("test", 0, index)))
    assert set(counted) == set(FACTORS)
    assert min(counted.values()) >= 8
    assert counted[PLAIN] >= 88


def test_without_nuisance_there_is_next_to_none() -> None:
    scenes = [splits.draw("test", 0, index, nuisance=0) for index in range(220)]
    rare = {PLAIN, "black or gray", "little movement"}  # the color is in the name
    assert {name for scene in scenes for name in factors(scene)} <= rare
