"""Draws with a seed."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest
from crossframe.data.split import few_shot, hold_out

LABELS = ("jump", "run", "walk")


def many(per_class: int = 10, clips_in_group: int = 0) -> Manifest:
    """`clips_in_group` clips of a class come from one recording; 0 leaves groups out."""
    clips = tuple(
        Clip(f"{label}/{i}.mp4", label, group=f"{label}-{i // clips_in_group}" if clips_in_group else None)
        for i in range(per_class)
        for label in LABELS
    )
    return Manifest(clips, LABELS, Path())


def test_few_shot_draws_k_of_every_class_by_the_seed() -> None:
    drawn = few_shot(many(), 4, seed=1)
    assert drawn.counts() == dict.fromkeys(LABELS, 4)
    assert few_shot(many(), 4, seed=1) == drawn
    assert few_shot(many(), 4, seed=2) != drawn


def test_a_draw_does_not_depend_on_order_or_on_other_classes() -> None:
    clips = list(many().clips)
    random.Random(0).shuffle(clips)
    shuffled = many().keep(clips)
    walking = Manifest(tuple(clip for clip in clips if clip.label == "walk"), ("walk",), Path())
    names = set(few_shot(many(), 4, seed=1).names)
    assert set(few_shot(shuffled, 4, seed=1).names) == names
    assert set(few_shot(walking, 4, seed=1).names) == {name for name in names if name.startswith("walk")}


def test_small_draws_are_contained_in_larger_ones() -> None:
    draws = [set(few_shot(many(16), shots, seed=3).names) for shots in (2, 4, 8, 16)]
    assert all(small < large for small, large in itertools.pairwise(draws))


def test_every_clip_is_drawn_about_as_often() -> None:
    seeds = 400
    drawn = [name for seed in range(seeds) for name in few_shot(many(), 2, seed).names]
    for name in many().names:
        assert 0.1 < drawn.count(name) / seeds < 0.3  # 0.2 expected, deviation 0.02


def test_too_few_clips() -> None:
    manifest = many(3)
    with pytest.raises(ValueError, match="3 of 3 classes have fewer than 4 clips, 'jump' has 3"):
        few_shot(manifest, 4, seed=0)
    with pytest.raises(ValueError, match="0 clips a class"):
        few_shot(manifest, 0, seed=0)


def test_hold_out_divides_every_class() -> None:
    train, validation = hold_out(many(), 0.2, seed=0)
    assert train.counts() == dict.fromkeys(LABELS, 8)
    assert validation.counts() == dict.fromkeys(LABELS, 2)
    assert {*train.clips, *validation.clips} == {*many().clips}
    assert hold_out(many(), 0.2, seed=0) == (train, validation)
    assert hold_out(many(), 0.2, seed=1) != (train, validation)


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_one_group_stay_on_one_side(seed: int) -> None:
    train, validation = hold_out(many(24, clips_in_group=4), 0.25, seed)
    assert not {clip.group for clip in train.clips} & {clip.group for clip in validation.clips}
    assert min(train.counts().values()) >= 4
    assert 4 <= min(validation.counts().values()) <= max(validation.counts().values()) <= 8


def test_stretches_of_one_file_stay_on_one_side() -> None:
    clips = tuple(Clip(f"{i // 5}.mp4", "walk", start=float(i), end=i + 1.0) for i in range(20))
    train, validation = hold_out(Manifest(clips, ("walk",), Path()), 0.3, seed=0)
    assert not {clip.path for clip in train.clips} & {clip.path for clip in validation.clips}
    assert len(train) + len(validation) == 20


def test_a_class_in_one_group_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="class 'jump' cannot be divided: its 3 clips lie in too few groups"):
        hold_out(many(3, clips_in_group=3), 0.3, seed=0)
    with pytest.raises(ValueError, match=r"fraction of 1\.0"):
        hold_out(many(), 1.0, seed=0)
