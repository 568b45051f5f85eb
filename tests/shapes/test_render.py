from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crossframe.shapes import looks, splits
from crossframe.shapes.background import KINDS, Background, paint
from crossframe.shapes.draw import sample_scene, sample_still
from crossframe.shapes.looks import Look
from crossframe.shapes.motion import Motion
from crossframe.shapes.render import render, silhouettes, sparse_times
from crossframe.shapes.scene import Camera, Scene, Thing, VideoFormat

BLACK = (0.0, 0.0, 0.0)
RED = (1.0, 0.0, 0.0)
GRAY = Background("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def plain(thing: Thing, **changes: object) -> Scene:
    scene = Scene(
        "staying still",
        thing,
        Look("blue", "star"),
        "blue",
        Background("plain", BLACK, BLACK),
        Camera(),
        VideoFormat(96, 96, 10, 16, 20),
    )
    return replace(scene, **changes)


def thing(shape: str = "circle", **changes: object) -> Thing:
    return replace(Thing(Look("red", shape), RED, 0.5, 0.5, 0.5), **changes)


def center_of(frame: np.ndarray) -> tuple[float, float]:
    """The center of what is red, (x, y) as shares of the frame."""
    red = frame[0].astype(float)
    return (
        float((red.sum(0) * (np.arange(red.shape[1]) + 0.5)).sum() / red.sum() / red.shape[1]),
        float((red.sum(1) * (np.arange(red.shape[0]) + 0.5)).sum() / red.sum() / red.shape[0]),
    )


def test_the_same_seed_gives_the_same_pixels() -> None:
    first, second = (splits.draw("train", 3, 17) for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(render(first), render(second))
    assert splits.draw("train", 4, 17) != first


def test_frames_have_the_asked_shape() -> None:
    scene = splits.draw("test", 0, 0)
    frames = render(scene, (48, 80), 5)
    assert frames.shape == (5, 3, 48, 80)
    assert frames.dtype == np.uint8


def test_a_frame_depends_on_its_moment_alone() -> None:
    scene = splits.draw("train", 0, 1)
    moments = sparse_times(6)
    np.testing.assert_array_equal(render(scene, 40, times=moments)[4], render(scene, 40, times=moments[4:5])[0])


@pytest.mark.parametrize("soft", [True, False])
def test_a_circle_has_its_place_and_area(soft: bool) -> None:
    frame = render(plain(thing(x=0.3, y=0.6), camera=Camera(soft_edges=soft)), 100, 1)[0]
    assert center_of(frame) == pytest.approx((0.3, 0.6), abs=0.005)
    assert (frame[0] / 255).mean() == pytest.approx(np.pi * (0.25 * 0.95) ** 2, rel=0.02)
    assert set(np.unique(frame[1:])) == {0}
    assert (len(np.unique(frame[0])) > 2) == soft


def test_things_stay_in_the_middle_square_of_wide_frames() -> None:
    frame = render(plain(thing(x=0.0, size=0.2)), (50, 100), 1)[0]
    assert center_of(frame)[0] == pytest.approx(0.25, abs=0.01)


def test_things_may_leave_the_frame() -> None:
    frames = render(plain(thing(x=0.5, motions=(Motion("glide", 4.0),))), 40, 8)
    assert frames[0].max() == 0
    assert frames[4].max() == 255
    assert frames[7].max() == 0


def test_thin_things_leave_nothing_behind() -> None:
    """Far from a squashed shape the look-up ends at the table's border, which must not count as near."""
    for shape in looks.SHAPES:
        frame = render(plain(thing(shape, size=0.6, width=0.08)), 96, 1)[0]
        assert frame[:, :, :36].max() == 0, shape
        assert frame[:, :, 60:].max() == 0, shape


def test_symmetric_shapes_look_the_same_again_after_their_turn() -> None:
    for shape, degrees in looks.SYMMETRY.items():
        if degrees is not None:
            turned = [render(plain(thing(shape, angle=np.radians(a))), 64, 1)[0, 0] for a in (0, degrees, degrees / 2)]
            differences = [np.abs(turned[0].astype(int) - other).mean() for other in turned[1:]]
            assert differences[0] < 1, shape
            assert differences[1] > 3, shape


@pytest.mark.parametrize("size", [24, 64])
def test_shapes_differ(size: int) -> None:
    """Any two shapes differ in at least a twelfth of the area of the box around them."""
    masks = [render(plain(thing(shape, size=0.9)), size, 1)[0, 0] > 127 for shape in looks.SHAPES]
    for i, first in enumerate(masks):
        for second in masks[:i]:
            assert (first ^ second).mean() > 0.81 / 12


def test_colors_are_distinct() -> None:
    """Shades of two names are apart: nearest-neighbor by shade finds the name again."""
    rng = np.random.default_rng(0)
    names = list(looks.COLORS)
    known = {name: [looks.draw_shade(rng, name) for _ in range(150)] for name in names}
    for name in names:
        for _ in range(20):
            shade = looks.draw_shade(rng, name)
            nearest = min(names, key=lambda other: min(looks.distance(shade, seen) for seen in known[other]))
            assert nearest == name, shade


def behind(scene: Scene) -> np.ndarray:
    """The background alone, (3, 24, 24) in [0, 1]."""
    axis = (np.arange(24, dtype=np.float32) + 0.5) / 24
    return paint(scene.background, axis, axis) / 255


def test_everything_named_shows_on_its_background() -> None:
    for index in range(200):
        scene = splits.draw("train", 5, index)
        for shown in (scene.target, scene.other):
            if shown is not None:
                for color in (shown.color, shown.turns_to or shown.color):
                    difference = behind(scene) - np.array(color)[:, None, None]
                    shows = np.sqrt((difference**2).sum(0)) > 0.3
                    assert shows.all() or (scene.background.kind == "natural" and shows.mean() > 0.8)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "natural"])
def test_backgrounds_mix_their_two_colors(kind: str) -> None:
    background = Background(kind, (0.2, 0.2, 0.2), (0.8, 0.8, 0.8), angle=1.0, scale=3.0, seed=1)
    picture = render(plain(thing(size=0.0001), background=background), 64, 1)[0]
    assert 50 <= picture.min() <= picture.max() <= 205
    assert (np.ptp(picture) == 0) == (kind == "plain")


def test_natural_backgrounds_have_the_spectrum_of_photos() -> None:
    """Amplitudes fall as 1/f, give or take: about -2 on a double logarithmic scale of power, as in photos."""
    slopes, axis = [], (np.arange(64, dtype=np.float32) + 0.5) / 64
    for seed in range(40):
        background = Background("natural", (0.2, 0.3, 0.5), (0.8, 0.7, 0.4), scale=2 + 5 * seed / 40, seed=seed)
        gray = paint(background, axis, axis).mean(0)
        assert gray.std() > 5
        window = np.hanning(64)[:, None] * np.hanning(64)
        power = np.abs(np.fft.fft2((gray - gray.mean()) * window)) ** 2
        radius = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64))) * 64
        rings = [power[(radius >= low) & (radius < 1.5 * low)].mean() for low in (2, 3, 4.5, 6.75, 10, 15)]
        slopes.append(np.polyfit(np.log([2, 3, 4.5, 6.75, 10, 15]), np.log(rings), 1)[0])
    assert -3 < np.mean(slopes) < -1.3, np.mean(slopes)
    assert np.std(slopes) > 0.2  # smooth and rough ones


def test_hollow_things_are_lines_around_nothing() -> None:
    for shape in set(looks.SHAPES) - {"ring"}:
        filled, hollow = (render(plain(thing(shape, stroke=stroke)), 96, 1)[0, 0] for stroke in (0.0, 0.02))
        assert (hollow > filled.astype(int) + 2).sum() == 0, shape  # within the outline
        assert 0.05 < (hollow > 127).sum() / (filled > 127).sum() < 0.6, shape
    assert hollow.max() > 200
    tiny = render(plain(thing("square", size=0.1, stroke=0.02)), 48, 1)[0, 0]
    assert tiny.max() > 100  # a line thinner than a pixel fades, and does not break


def test_what_stands_or_moves_beside_is_drawn_as_such() -> None:
    blue = Thing(Look("blue", "star"), (0.0, 0.0, 1.0), 0.2, 0.2, 0.2)
    moving = replace(blue, motions=(Motion("glide", 0.4, np.pi / 2),))
    for prop, moves in ((blue, False), (moving, True)):
        frames = render(plain(thing(x=0.7), props=(prop,)), 64, 4)
        assert frames[:, 2].max() == 255
        assert (np.abs(frames[0, 2].astype(int) - frames[3, 2]).max() > 100) == moves
    backwards = plain(thing(x=0.7), props=(moving,), backwards=True)
    np.testing.assert_array_equal(render(backwards, 64, 4)[::-1], render(plain(thing(x=0.7), props=(moving,)), 64, 4))


def test_without_nuisance_backgrounds_are_plain_and_nothing_else_is_there() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        for scene in (sample_scene(rng, nuisance=0.0), sample_still(rng, nuisance=0.0)):
            assert scene.background.kind == "plain"
            assert not scene.props
            assert scene.camera.shake == scene.camera.grain == 0
            assert not scene.target.stroke
            assert looks.size_word(scene.target.size) not in ("tiny", "huge")


def test_grain_tells_neither_the_clip_nor_the_time() -> None:
    """Noise of any two frames, in one clip or in two, is not the same noise."""
    clips = [render(plain(thing(size=0.01), background=GRAY, camera=Camera(grain=10, seed=s)), 64, 8) for s in (1, 2)]
    noise = np.concatenate(clips)[:, 0].reshape(16, -1)
    correlation = np.corrcoef(noise) - np.eye(16)
    assert np.abs(correlation).max() < 0.1
    assert noise.std() == pytest.approx(10, rel=0.05)


def test_the_camera_moves_the_whole_picture() -> None:
    background = Background("specks", (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), seed=3)
    shaken = plain(thing(), background=background, camera=Camera(shake=0.05, speed=(1.0, 0.0)))
    steady = render(plain(thing(), background=background), 100, 1)[0]
    frame = render(shaken, 100, times=np.array([0.25]))[0]  # 5 pixels to the right
    np.testing.assert_array_equal(frame[:, 5:-5, 5:-10], steady[:, 5:-5, 10:-5])


def test_random_moments_lie_in_their_segments() -> None:
    moments = sparse_times(8, np.random.default_rng(0))
    np.testing.assert_array_equal(np.floor(moments * 8), np.arange(8))
    with pytest.raises(ValueError, match="0 frames"):
        sparse_times(0)


def test_silhouettes_are_where_the_named_thing_is_drawn() -> None:
    scene = plain(thing("square", size=0.4, x=0.4, motions=(Motion("glide", 0.3),)), camera=Camera(shake=0.05))
    times = sparse_times(5)
    found = silhouettes(scene, (60, 90), times)
    assert np.array_equal(found, render(scene, (60, 90), times=times)[:, 0] >= 128)
    assert 0.05 < found.mean() < 0.2
    backwards = silhouettes(replace(scene, backwards=True), (60, 90), times)
    assert np.array_equal(backwards, found[::-1])


def test_silhouettes_leave_props_out_and_have_the_partner() -> None:
    scene = plain(thing(size=0.2, x=0.2), other=thing(size=0.2, x=0.8), props=(thing(size=0.2, y=0.1),))
    found = silhouettes(scene, (64, 64), sparse_times(1))[0]
    assert (found[32, 13], found[32, 51], found[6, 32]) == (True, True, False)


def test_what_has_vanished_has_no_silhouette() -> None:
    scene = plain(thing(motions=(Motion("appear", start=0.4, stop=0.5),)))
    found = silhouettes(scene, (32, 32), np.array([0.1, 0.9]))
    assert (found[0].any(), found[1].any()) == (False, True)
