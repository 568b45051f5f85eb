"""Training pictures against the authors' (draws recorded, 8-bit pictures) and against each other."""

from __future__ import annotations

import colorsys
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from crossframe.model.preprocess import Preprocess, center_box
from crossframe.video import augment
from crossframe.video.draws import REACH, Augment, Change, Draw, Jitter, multiscale_boxes

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
SMALL = Preprocess.xclip(size=32)
PLAIN = Augment(flip=0, jitter=0, gray=0)

# Gray levels by which exact colors may differ from 8-bit ones, largest and mean. Cutting a fraction off costs up to 1,
# and rounding the mean for the contrast a little more. A step of an 8-bit hue is 6 levels of a full color, and such a
# picture is cut twice: its own hue, and the turn.
ROUNDING = {
    "brightness": (1.0, 0.5),
    "contrast": (1.0, 0.5),
    "saturation": (1.2, 0.5),
    "hue": (12.0, 1.5),
    "combo": (12.0, 1.6),
    "colorjitter": (14.0, 1.6),
}

COLORS = [
    *("brightness_0.6", "brightness_0.85", "brightness_1.4", "contrast_0.6", "contrast_0.85", "contrast_1.4"),
    *("saturation_0.8", "saturation_0.93", "saturation_1.2"),
    *("hue_-0.1", "hue_-0.03", "hue_0.0", "hue_0.001", "hue_0.05", "hue_0.1"),
    *("combo_0", "combo_1", "combo_2"),
    *("colorjitter_seed1", "colorjitter_seed3", "colorjitter_seed4", "colorjitter_seed5"),
]
VIEWS = [f"train_video{video}_seed{seed}" for video in (0, 1) for seed in (0, 1, 2, 3, 9, 17)]


@pytest.fixture
def records(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "augment.json").read_text())


@pytest.fixture
def picture(golden: Path) -> Iterator[Callable[[str], Tensor]]:
    """Gray levels, float (T, 3, H, W), by name."""
    with np.load(golden / "augment.npz") as file:
        yield lambda name: torch.from_numpy(file[name]).float()


def as_jitters(record: list[list[list[Any]]]) -> list[Jitter]:
    return [tuple(Change(kind, amount) for kind, amount in changes) for changes in record]


def clip(num_frames: int = 4, height: int = 40, width: int = 52) -> Tensor:
    return torch.randint(0, 256, (num_frames, 3, height, width), dtype=torch.uint8)


def generators(count: int, seed: int = 0) -> list[random.Random]:
    return [random.Random(f"{seed}/{i}") for i in range(count)]


def levels(result: Tensor) -> Tensor:
    """Back from the model's units to gray levels."""
    return result * STD + MEAN


# The authors' pictures.


def test_every_record_is_compared(records: dict[str, Any]) -> None:
    assert sorted(records["jitters"]) == sorted(COLORS)
    assert sorted(records["views"]) == sorted(VIEWS)


@pytest.mark.parametrize("name", COLORS)
def test_colors_of_the_authors(name: str, records: dict[str, Any], picture: Callable[[str], Tensor]) -> None:
    given = as_jitters(records["jitters"][name])
    jitters = given if len(given) > 1 else given * 3
    rounded, exact = picture("clip"), picture("clip")
    augment.jitter_(rounded, jitters, eight_bit=True)
    assert torch.equal(rounded, picture(name))
    augment.jitter_(exact, jitters)
    largest, mean = ROUNDING[name.split("_")[0]]
    difference = (exact - picture(name)).abs()
    assert difference.max() <= largest
    assert difference.mean() <= mean


def test_grayscale_of_the_authors(picture: Callable[[str], Tensor]) -> None:
    expected = picture("grayscale")
    assert torch.equal(augment.grayscale(picture("clip"), eight_bit=True).expand_as(expected), expected)
    assert (augment.grayscale(picture("clip")) - expected).abs().max() <= 0.5


@pytest.mark.parametrize("name", VIEWS)
def test_training_pipeline_of_the_authors(
    name: str, golden: Path, records: dict[str, Any], picture: Callable[[str], Tensor]
) -> None:
    record = records["views"][name]
    frames = load_file(golden / "pipeline.safetensors")[record["video"]].permute(0, 3, 1, 2)[record["frames"]]
    draw = Draw(tuple(record["box"]), record["flip"], tuple(as_jitters(record["jitter"])), record["grey"])
    rounded = (levels(augment.apply([frames], [draw], SMALL, eight_bit=True)[0]) - picture(name)).abs()
    exact = (levels(augment.apply([frames], [draw], SMALL)[0]) - picture(name)).abs()
    # The authors' resizing has weights of 11 bits: a level of difference now and then, which a step of hue can enlarge.
    assert (rounded < 0.01).float().mean() > 0.65
    assert rounded.max() <= (16.01 if draw.jitter else 2.01)
    assert rounded.mean() <= 0.4
    assert exact.max() <= (20 if draw.jitter else 1.5)
    assert exact.mean() <= (2.0 if draw.jitter else 0.4)


# Colors by their rules.


def test_hue_turns_as_in_hsv() -> None:
    colors = torch.randint(0, 256, (1, 3, 16, 16)).float()
    colors[..., :2] = torch.tensor([[0.0, 255.0]])  # black and white have no hue
    turned = colors.clone()
    augment.jitter_(turned, [(Change("hue", 0.07),)])
    for before, after in zip(colors.flatten(2)[0].T.tolist(), turned.flatten(2)[0].T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((hue + 0.07) % 1, saturation, value), abs=1e-3)


def test_changes_of_nothing_change_nothing() -> None:
    before = clip().float()
    after = before.clone()
    nothing = tuple(Change(kind, 0.0 if kind == "hue" else 1.0) for kind in REACH)
    augment.jitter_(after, [nothing] * 4)
    torch.testing.assert_close(after, before, atol=2e-3, rtol=0)


def test_each_picture_has_its_own_changes_in_its_own_order() -> None:
    bright, contrast = Change("brightness", 1.3), Change("contrast", 0.7)
    jitters: list[Jitter] = [(bright, contrast), (), (contrast, bright), (contrast,)]
    one = clip(1).float()
    together = one.repeat(4, 1, 1, 1)
    augment.jitter_(together, jitters)
    for jitter, result in zip(jitters, together, strict=True):
        alone = one.clone()
        augment.jitter_(alone, [jitter])
        torch.testing.assert_close(result, alone[0])
    assert torch.equal(together[1], one[0])
    assert not torch.allclose(together[0], together[2], atol=1.0)


# Draws applied.


@pytest.mark.parametrize("preprocess", [Preprocess.xclip(size=32), Preprocess.clip(size=32), Preprocess(32, None)])
def test_the_middle_without_changes_is_the_view_of_testing(preprocess: Preprocess) -> None:
    frames = clip(2, 72, 48)
    short_side = preprocess.short_side
    box = (0, 0, 32, 32) if short_side is None else center_box(short_side, short_side * 3 // 2, 32)
    result = augment.apply([frames], [Draw(box)], preprocess)
    torch.testing.assert_close(result, preprocess(frames))


def test_a_flip_mirrors_left_and_right() -> None:
    frames, box = clip(), (4, 4, 36, 36)
    straight, mirrored = augment.apply([frames, frames], [Draw(box), Draw(box, flip=True)], SMALL)
    torch.testing.assert_close(mirrored, straight.flip(-1))


def test_gray_clips_have_one_level_for_all_colors() -> None:
    result = levels(Augment(flip=0, jitter=1, gray=1)([clip()], SMALL, generators(1)))
    torch.testing.assert_close(result[:, :, :1].expand_as(result), result, atol=1e-3, rtol=0)


def test_a_batch_is_its_clips() -> None:
    clips = [clip(4, 40, 52), clip(4, 60, 36), clip(4, 36, 36), clip(4, 40, 52)]
    policy = Augment(jitter=0.7, gray=0.5)
    together = policy(clips, SMALL, generators(4))
    assert together.shape == (4, 4, 3, 32, 32)
    assert together.dtype == torch.float32
    for one, generator, result in zip(clips, generators(4), together, strict=True):
        torch.testing.assert_close(policy([one], SMALL, [generator])[0], result, atol=1e-4, rtol=1e-4)


def test_input_is_not_changed_and_may_be_float() -> None:
    clips = torch.stack([clip(2, 36, 36), clip(2, 36, 36)])  # of the size that is not resized
    kept, floats = clips.clone(), clips.float()
    policy = Augment(jitter=1, gray=0.5, scales=(1.0,))
    result = policy(clips, Preprocess(36, 36), generators(2))
    assert torch.equal(policy(floats, Preprocess(36, 36), generators(2)), result)
    assert torch.equal(clips, kept)
    assert torch.equal(floats, kept.float())


@pytest.mark.parametrize("flicker", [False, True])
def test_colors_flicker_only_as_the_authors_do(flicker: bool) -> None:
    still = clip(1).expand(4, -1, -1, -1)
    result = Augment(jitter=1, flicker=flicker)([still], SMALL, generators(1))[0]
    steady = all(torch.allclose(frame, result[0], atol=1e-4) for frame in result)
    assert steady is not flicker


def test_pictures_of_8_bits_have_whole_levels() -> None:
    result = levels(Augment(jitter=1, flicker=True, eight_bit=True)([clip()], SMALL, generators(1)))
    torch.testing.assert_close(result, result.round(), atol=1e-3, rtol=0)


# Draws.


@pytest.fixture(scope="module")
def draws() -> list[Draw]:
    policy, generator = Augment(), random.Random(0)
    return [policy.draw((8, 3, 256, 340), Preprocess.xclip(), generator) for _ in range(4000)]


def test_probabilities_are_the_papers(draws: list[Draw]) -> None:
    assert sum(draw.flip for draw in draws) / 4000 == pytest.approx(0.5, abs=0.03)
    assert sum(draw.gray for draw in draws) / 4000 == pytest.approx(0.2, abs=0.03)
    assert sum(bool(draw.jitter) for draw in draws) / 4000 == pytest.approx(0.8, abs=0.03)


def test_boxes_are_the_papers(draws: list[Draw]) -> None:
    expected = Counter(multiscale_boxes(340, 256, 224))
    counts = Counter(draw.box for draw in draws)
    assert counts.keys() == expected.keys()
    for box, times in expected.items():
        assert counts[box] == pytest.approx(4000 * times / 50, abs=5 * (80 * times) ** 0.5)


def test_jitters_fill_their_ranges_in_all_orders(draws: list[Draw]) -> None:
    jitters = [draw.jitter[0] for draw in draws if draw.jitter]
    assert {len(draw.jitter) for draw in draws} == {0, 1}
    assert len({tuple(change.kind for change in jitter) for jitter in jitters}) == 24
    assert REACH == {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}  # the paper's
    for kind, reach in REACH.items():
        middle = 0.0 if kind == "hue" else 1.0
        amounts = [change.amount for jitter in jitters for change in jitter if change.kind == kind]
        assert len(amounts) == len(jitters)
        assert middle - reach <= min(amounts) < middle - 0.95 * reach
        assert middle + 0.95 * reach < max(amounts) <= middle + reach


def test_the_same_generator_draws_the_same_and_switches_leave_the_rest() -> None:
    shape = (8, 3, 256, 340)
    for seed in range(50):
        full = Augment().draw(shape, SMALL, random.Random(seed))
        assert Augment().draw(shape, SMALL, random.Random(seed)) == full
        bare = PLAIN.draw(shape, SMALL, random.Random(seed))
        assert bare == Draw(full.box)
        unflipped = Augment(flip=0).draw(shape, SMALL, random.Random(seed))
        assert unflipped == Draw(full.box, False, full.jitter, full.gray)


def test_flickering_jitter_has_one_draw_for_each_frame() -> None:
    draw = Augment(jitter=1, flicker=True).draw((8, 3, 256, 340), SMALL, random.Random(0))
    assert len(set(draw.jitter)) == 8


# Mistakes.


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"a probability of 1.5 for flip"):
        Augment(flip=1.5)
    with pytest.raises(ValueError, match=r"crop scales \(1.2,\)"):
        Augment(scales=(1.2,))
    with pytest.raises(ValueError, match="2 generators were given for 1 clips"):
        PLAIN([clip()], SMALL, generators(2))
    box = (0, 0, 32, 32)
    with pytest.raises(ValueError, match="1 draws were given for 2 clips"):
        augment.apply([clip(), clip()], [Draw(box)], SMALL)
    with pytest.raises(ValueError, match="put the 3 colors second"):
        augment.apply([clip().transpose(0, 1)], [Draw(box)], SMALL)
    with pytest.raises(ValueError, match=r"clips of \[2, 4\] frames"):
        augment.apply([clip(2), clip(4)], [Draw(box), Draw(box)], SMALL)
    with pytest.raises(ValueError, match="3 jitters do not fit 4 frames"):
        augment.apply([clip()], [Draw(box, jitter=((), (), ()))], SMALL)
    with pytest.raises(ValueError, match="not inside a frame of 47x36"):
        augment.apply([clip()], [Draw((20, 0, 52, 32))], SMALL)


def test_the_luma_of_eight_bits_is_rounded_once_and_to_the_nearest() -> None:
    red, green, blue = torch.randint(0, 256, (3, 4096)).unbind()
    shares = (19595, 38470, 7471)  # 65536ths, as 8-bit software has them
    expected = (shares[0] * red + shares[1] * green + shares[2] * blue + 0x8000) >> 16
    pictures = torch.stack([red, green, blue]).view(1, 3, 64, 64).float()
    assert torch.equal(augment.grayscale(pictures, eight_bit=True).flatten(), expected.float())
    exact = 0.299 * red + 0.587 * green + 0.114 * blue
    torch.testing.assert_close(augment.grayscale(pictures).flatten(), exact, atol=5e-3, rtol=0)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_the_hue_of_grays_and_of_nothing_stays(eight_bit: bool) -> None:
    grays = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, -1, -1).contiguous()
    turned = grays.clone()
    augment.jitter_(turned, [(Change("hue", 0.07),)], eight_bit=eight_bit)
    assert torch.equal(turned, grays)


@pytest.mark.parametrize("turn", [-0.1, 0.0, 0.05, 1 / 3])
def test_a_turned_hue_keeps_value_and_saturation(turn: float) -> None:
    colors = torch.randint(0, 256, (1, 3, 32, 32)).float()
    turned = colors.clone()
    augment.jitter_(turned, [(Change("hue", turn),)])
    torch.testing.assert_close(turned.amax(dim=1), colors.amax(dim=1), atol=1e-3, rtol=0)
    torch.testing.assert_close(turned.amin(dim=1), colors.amin(dim=1), atol=1e-3, rtol=0)
    if turn == 1 / 3:  # red becomes green, green blue, blue red
        torch.testing.assert_close(turned, colors.roll(1, dims=1), atol=1e-2, rtol=0)
