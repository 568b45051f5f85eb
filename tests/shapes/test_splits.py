from __future__ import annotations

from collections import Counter

import pytest

from crossframe.shapes import actions, looks, splits
from crossframe.shapes.actions import ACTIONS, NEW_ACTIONS
from crossframe.shapes.splits import Split

COUNT = 400


def combinations(split: Split) -> set[tuple[str, str]]:
    scenes = [splits.draw(split, 0, index) for index in range(COUNT)]
    return {(str(scene.target.look), scene.action) for scene in scenes}


def test_unseen_combinations_are_never_trained() -> None:
    for split in (Split.TRAIN, Split.VAL, Split.TEST):
        for look in looks.LOOKS:
            for action in ACTIONS:
                assert (look in splits.split_looks(split, action)) <= (not splits.is_held_out(look, action))
    assert not combinations(Split.TRAIN) & combinations(Split.UNSEEN)


def test_a_combination_and_its_reversal_are_held_out_together() -> None:
    for look in looks.LOOKS:
        for action in ACTIONS:
            assert splits.is_held_out(look, action) == splits.is_held_out(look, actions.opposite(action))


def test_every_color_and_every_shape_is_trained_in_every_action() -> None:
    for action, entry in ACTIONS.items():
        trained = splits.split_looks(Split.TRAIN, action)
        assert {look.color for look in trained} == set(looks.COLORS)
        assert {look.shape for look in trained} == set(looks.TURNABLE if entry.turns else looks.SHAPES)
        held = splits.split_looks(Split.UNSEEN, action)
        assert 0 < len(held) < len(trained) / 4


def test_new_and_composite_actions_are_never_trained() -> None:
    for split in (Split.TRAIN, Split.VAL, Split.TEST, Split.UNSEEN, Split.STILLS):
        assert set(splits.split_actions(split)) <= set(ACTIONS)
    assert set(splits.split_actions(Split.ZERO_SHOT)).isdisjoint(ACTIONS)
    assert set(splits.split_actions(Split.FEW_SHOT_TRAIN)) == set(NEW_ACTIONS)
    assert set(NEW_ACTIONS).isdisjoint(ACTIONS)


def test_composites_join_known_actions_and_their_opposites_are_composites() -> None:
    composites = splits.split_actions(Split.ZERO_SHOT)
    for composite in composites:
        assert set(composite.split(" and ")) <= set(ACTIONS)
        assert actions.opposite(composite) in composites


def test_random_numbers_of_splits_never_meet() -> None:
    firsts = [
        int(splits.clip_rng(split, seed, index).integers(2**62))
        for split in Split
        for seed in range(3)
        for index in range(50)
    ]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("split", [Split.TRAIN, Split.UNSEEN, Split.ZERO_SHOT, Split.FEW_SHOT_TRAIN])
def test_actions_take_turns(split: Split) -> None:
    names = splits.split_actions(split)
    drawn = Counter(splits.draw(split, 0, index).action for index in range(4 * len(names)))
    assert drawn == dict.fromkeys(names, 4)


def test_only_shapes_that_show_it_are_spun() -> None:
    for index in range(COUNT):
        scene = splits.draw(Split.TRAIN, 2, index)
        if any(action.turns for action in actions.find(scene.action)):
            assert scene.target.look.shape in looks.TURNABLE


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no split 'tset'"):
        splits.draw("tset", 0, 0)
    with pytest.raises(ValueError, match="clip -1"):
        splits.draw("test", 0, -1)
