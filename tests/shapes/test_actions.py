from __future__ import annotations

import numpy as np
import pytest

from crossframe.shapes import actions
from crossframe.shapes.actions import ACTIONS, COMPOSITES, NEW_ACTIONS
from crossframe.shapes.draw import sample_scene
from crossframe.shapes.looks import SYMMETRY, Look
from crossframe.shapes.motion import Pose, pose_at
from crossframe.shapes.render import render
from crossframe.shapes.scene import Scene, reverse

TIMES = np.linspace(0, 1, 33)
EVERYTHING = (*ACTIONS, *NEW_ACTIONS, *(" and ".join(pair) for pair in COMPOSITES))


def scene_of(action: str, seed: int = 0) -> Scene:
    return sample_scene(np.random.default_rng(seed), action=action)


def poses(action: str, seed: int = 0) -> Pose:
    return pose_at(TIMES, scene_of(action, seed).target.motions)


@pytest.mark.parametrize("action", [action for action in EVERYTHING if action != "turning"])
def test_opposites_show_the_same_frames_in_reverse(action: str) -> None:
    scene = scene_of(action)
    opposite = reverse(scene)
    assert opposite.action == actions.opposite(action)
    np.testing.assert_array_equal(render(scene, 32)[::-1], render(opposite, 32))
    assert reverse(opposite) == scene


def test_turning_has_no_reversal_of_the_same_thing() -> None:
    with pytest.raises(ValueError, match="turning"):
        reverse(scene_of("turning"))


@pytest.mark.parametrize("seed", range(5))
def test_words_mean_what_they_say(seed: int) -> None:
    """On the screen x grows to the right, y grows downwards, and so a growing angle is clockwise."""
    for action, value, sign in (
        ("moving right", "dx", 1),
        ("moving left", "dx", -1),
        ("moving down", "dy", 1),
        ("moving up", "dy", -1),
        ("growing", "scale", 1),
        ("shrinking", "scale", -1),
        ("spinning clockwise", "angle", 1),
        ("spinning anticlockwise", "angle", -1),
        ("appearing", "opacity", 1),
        ("vanishing", "opacity", -1),
        ("turning", "mix", 1),
    ):
        steps = np.diff(getattr(poses(action, seed), value)) * sign
        assert steps.min() >= 0, action
        assert steps.sum() > 0.1, action


@pytest.mark.parametrize(("action", "sign"), [("circling clockwise", 1), ("circling anticlockwise", -1)])
def test_circling_turns_the_right_way(action: str, sign: int) -> None:
    pose = poses(action)
    steps = np.diff(np.unwrap(np.arctan2(pose.dy, pose.dx))) * sign
    assert steps.min() >= 0
    assert steps.sum() > np.pi


def gap(scene: Scene) -> np.ndarray:
    assert scene.other is not None
    first, second = (pose_at(TIMES, thing.motions) for thing in (scene.target, scene.other))
    return np.hypot(
        scene.target.x + first.dx - scene.other.x - second.dx, scene.target.y + first.dy - scene.other.y - second.dy
    )


@pytest.mark.parametrize("seed", range(5))
def test_two_things_approach_part_and_keep_their_distance(seed: int) -> None:
    assert np.diff(gap(scene_of("approaching", seed))).max() <= 1e-9
    assert np.diff(gap(scene_of("moving away from", seed))).min() >= -1e-9
    for action in ("following", "leading", "swapping places with"):
        assert np.ptp(gap(scene_of(action, seed))) < 1e-9


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("action", "sign"), [("following", -1), ("leading", 1)])
def test_the_leader_is_ahead(action: str, sign: int, seed: int) -> None:
    scene = scene_of(action, seed)
    assert scene.other is not None
    pose = pose_at(TIMES, scene.target.motions)
    way = np.array([pose.dx[-1] - pose.dx[0], pose.dy[-1] - pose.dy[0]])
    ahead = np.array([scene.target.x - scene.other.x, scene.target.y - scene.other.y])
    assert sign * (way @ ahead) > 0


def test_swapping_ends_where_the_other_began() -> None:
    scene = scene_of("swapping places with")
    assert scene.other is not None
    first, second = (pose_at(np.array([0.0, 1.0]), thing.motions) for thing in (scene.target, scene.other))
    assert scene.target.x + first.dx[1] == pytest.approx(scene.other.x + second.dx[0])
    assert scene.target.y + first.dy[1] == pytest.approx(scene.other.y + second.dy[0])


@pytest.mark.parametrize("shape", ["square", "star", "triangle", "heart"])
def test_spinning_cannot_be_mistaken_for_the_other_way(shape: str) -> None:
    """Between two of 8 frames a shape turns by less than half of what makes it look the same again."""
    for seed in range(20):
        motion = actions.draw_motion(np.random.default_rng(seed), ACTIONS["spinning clockwise"], shape)
        angles = np.degrees(pose_at((np.arange(8) + 0.5) / 8, (motion,)).angle)
        assert np.diff(angles).max() < SYMMETRY[shape] / 2


def test_unknown_actions_are_named() -> None:
    with pytest.raises(ValueError, match="'flying'"):
        actions.find("flying")
    with pytest.raises(ValueError, match="circle spinning"):
        sample_scene(np.random.default_rng(0), action="spinning clockwise", look=Look("red", "circle"))
