"""Training transforms: what is drawn depends on the seed, the batch's number and the clip alone."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.data.batch import Batch, Task, TrainBatch, classification
from crossframe.model.xclip import XCLIP
from crossframe.train.objective import task_loss
from crossframe.train.transform import TrainTransform
from crossframe.video.draws import Augment
from crossframe.video.mixing import Mix, Mixup, cut_box
from tests.evaluate.world import small_model

LABELS = ("clapping", "jumping", "waving")
MIX = Mixup(switch=0.0)


@pytest.fixture(scope="module")
def model() -> XCLIP:
    return small_model()


def batch(*places: int) -> TrainBatch:
    """The clips of these places in the data set."""
    clips = [
        torch.randint(0, 256, (4, 3, 40, 52), dtype=torch.uint8, generator=torch.Generator().manual_seed(place))
        for place in places
    ]
    indices = torch.tensor(places)
    return classification(Batch(clips, indices % len(LABELS), indices), LABELS)


def test_without_chance_it_is_the_view_of_testing(model: XCLIP) -> None:
    asked = batch(3, 5)
    video, tasks = TrainTransform(model)(asked, 0)
    assert torch.equal(video, model.prepare(asked.clips.videos))
    assert tasks == asked.tasks


def test_a_view_depends_on_seed_batch_and_clip(model: XCLIP) -> None:
    transform = TrainTransform(model, Augment(), seed=1)
    video, _ = transform(batch(3, 5), 0)
    again, _ = transform(batch(5, 8, 3), 0)
    assert torch.equal(video[0], again[2])
    assert torch.equal(video[1], again[0])
    assert not torch.equal(video, transform(batch(3, 5), 1)[0])
    assert not torch.equal(video, replace(transform, seed=2)(batch(3, 5), 0)[0])


def test_partners_do_not_depend_on_the_order_of_the_batch(model: XCLIP) -> None:
    transform = TrainTransform(model, mixup=MIX, seed=1)
    video, tasks = transform(batch(3, 5, 8, 1), 0)
    turned, asked = transform(batch(8, 1, 5, 3), 0)
    assert torch.equal(video[[2, 3, 1, 0]], turned)
    assert torch.equal(tasks[0].targets[[2, 3, 1, 0]], asked[0].targets)
    assert not torch.equal(video, transform(batch(3, 5, 8, 1), 1)[0])


def test_answers_follow_the_pixels(model: XCLIP) -> None:
    """Clips of one level each: the level of a blend tells the shares."""
    clips = [torch.full((4, 3, 32, 32), level, dtype=torch.uint8) for level in (0, 100, 200)]
    asked = classification(Batch(clips, torch.arange(3), torch.tensor([7, 2, 4])), LABELS)
    std = torch.tensor(model.preprocess.std) * 255  # pyright: ignore
    mean = torch.tensor(model.preprocess.mean) * 255  # pyright: ignore
    for number in range(4):
        video, tasks = TrainTransform(model, mixup=MIX, seed=3)(asked, number)
        levels = video.mean(dim=(1, 3, 4)) * std + mean  # (B, 3)
        expected = tasks[0].targets @ torch.tensor([0.0, 100.0, 200.0])
        torch.testing.assert_close(levels, expected.unsqueeze(1).expand(3, 3), atol=1e-2, rtol=0)


def test_groups_of_clips_are_drawn_and_paired_by_themselves(model: XCLIP) -> None:
    """Clips of one level each: the level of a mixed clip tells whose they are."""
    mixup = Mixup(switch=0.0, group=2)
    clips = [torch.full((4, 3, 32, 32), 40 * place, dtype=torch.uint8) for place in range(6)]
    asked = classification(Batch(clips, torch.arange(6), torch.tensor([7, 2, 4, 9, 1, 5])), tuple("abcdef"))
    std, mean = (torch.tensor(values) * 255 for values in (model.preprocess.std, model.preprocess.mean))
    seen: set[tuple[int, ...]] = set()
    for number in range(8):
        video, tasks = TrainTransform(model, mixup=mixup, seed=3)(asked, number)
        targets = tasks[0].targets
        levels = video.mean(dim=(1, 3, 4)) * std + mean  # (B, 3)
        expected = targets @ torch.arange(0.0, 240.0, 40.0)
        torch.testing.assert_close(levels, expected.unsqueeze(1).expand(6, 3), atol=1e-2, rtol=0)
        seen |= {tuple(row.nonzero().flatten().tolist()) for row in targets}
        turned = classification(
            Batch(clips[::-1], torch.arange(5, -1, -1), torch.tensor([5, 1, 9, 4, 2, 7])), tuple("abcdef")
        )
        again, mixed = TrainTransform(model, mixup=mixup, seed=3)(turned, number)
        assert torch.equal(again.flip(0), video)
        assert torch.equal(mixed[0].targets.flip(0), targets)
    assert max(map(len, seen)) == 2
    assert len([pair for pair in seen if len(pair) == 2]) > 6  # not only neighbors


def test_draws_cover_every_clip_once_in_groups_of_at_most_so_many() -> None:
    draws = Mixup(group=8).draws(21, 32, random.Random(0))
    assert sorted(number for numbers, _ in draws for number in numbers) == list(range(21))
    assert [len(numbers) for numbers, _ in draws] == [8, 8, 5]
    assert all(sorted(mix.partners) == list(range(len(numbers))) for numbers, mix in draws)
    assert len({mix.share for _, mix in draws}) == 3
    ((numbers, whole),) = Mixup().draws(21, 32, random.Random(0))
    assert (numbers, whole) == (list(range(21)), Mixup().draw(21, 32, random.Random(0)))


CASES = [f"seed{seed}" for seed in (*range(10), *range(20, 25))]


@pytest.fixture
def records(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "mixup.json").read_text())


@pytest.fixture
def videos(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "mixup.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def mix_of(case: dict[str, Any]) -> Mix:
    box = tuple(case["box"]) if case["mode"] == "cutmix" else None
    return Mix(tuple(case["partners"]), case["share"], box)


def test_every_record_is_compared(records: dict[str, Any], videos: dict[str, Tensor]) -> None:
    assert sorted(records["cases"]) == sorted(CASES) == sorted(videos.keys() - {"input"})
    assert {case["mode"] for case in records["cases"].values()} == {"mixup", "cutmix"}


@pytest.mark.parametrize("name", CASES)
def test_pictures_of_the_authors(name: str, records: dict[str, Any], videos: dict[str, Tensor]) -> None:
    mix, before = mix_of(records["cases"][name]), videos["input"].clone()
    result = mix.videos(videos["input"])
    torch.testing.assert_close(result, videos[name], atol=5e-7, rtol=0)
    assert torch.equal(videos["input"], before)
    if mix.box is not None:
        assert torch.equal(result, videos[name])


@pytest.mark.parametrize("name", CASES)
def test_answers_of_the_authors(name: str, records: dict[str, Any]) -> None:
    classes, smoothing, case = records["num_classes"], records["smoothing"], records["cases"][name]
    hard = F.one_hot(torch.tensor(records["labels"]), classes).float()
    soft = mix_of(case).targets(hard)
    expected = torch.tensor(case["soft_labels"])
    torch.testing.assert_close((1 - smoothing) * soft + smoothing / classes, expected, atol=2e-7, rtol=0)
    # the loss smooths the mixed answers, which is the same as mixing smoothed ones
    logits = torch.randn(4, classes) * 3
    loss = task_loss(logits, Task("label", tuple("abcde"), soft), smoothing)
    torch.testing.assert_close(loss, -(expected * logits.log_softmax(dim=1)).sum(dim=1), atol=1e-5, rtol=0)


def test_boxes_and_shares_of_the_authors(records: dict[str, Any]) -> None:
    cuts = [case for case in records["cases"].values() if case["mode"] == "cutmix"]
    assert len(cuts) > 5
    for case in cuts:
        left, top, right, bottom = box = cut_box(8, case["drawn"], case["x"], case["y"])
        assert list(box) == case["box"]
        assert 1 - (right - left) * (bottom - top) / 64 == case["share"]


def test_draws_are_as_probable_as_the_paper_says() -> None:
    generator = random.Random(0)
    mixes = [Mixup(mixup=0.8).draw(4, 224, generator) for _ in range(4000)]
    blended = torch.tensor([mix.share for mix in mixes if mix.box is None])
    assert len(blended) / 4000 == pytest.approx(0.5, abs=0.03)
    assert blended.mean() == pytest.approx(0.5, abs=0.03)
    assert blended.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.005)  # of Beta(a, a)
    assert all(sorted(mix.partners) == [0, 1, 2, 3] for mix in mixes)
    assert len({mix.partners for mix in mixes}) == 24


def test_the_share_of_a_cut_is_what_is_left_of_the_picture() -> None:
    generator = random.Random(1)
    numbered = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 2, 3, 20, 20)
    for _ in range(50):
        mix = Mixup(switch=1).draw(3, 20, generator)
        left = (mix.videos(numbered) == numbered).float().mean(dim=(1, 2, 3, 4))
        expected = [1.0 if partner == i else mix.share for i, partner in enumerate(mix.partners)]
        assert left.tolist() == pytest.approx(expected)


def test_switch_chooses_one_kind() -> None:
    generator = random.Random(2)
    assert all(Mixup(switch=0).draw(2, 8, generator).box is None for _ in range(50))
    assert all(Mixup(switch=1).draw(2, 8, generator).box is not None for _ in range(50))


def test_the_same_generator_draws_the_same() -> None:
    for seed in range(20):
        assert Mixup().draw(8, 224, random.Random(seed)) == Mixup().draw(8, 224, random.Random(seed))


def test_one_clip_mixes_with_itself() -> None:
    video, targets = torch.randn(1, 2, 3, 8, 8), torch.eye(3)[:1]
    for seed in range(10):
        mix = Mixup().draw(1, 8, random.Random(seed))
        torch.testing.assert_close(mix.videos(video), video)
        torch.testing.assert_close(mix.targets(targets), targets)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"an alpha of 0.0 for mixup"):
        Mixup(mixup=0.0)
    with pytest.raises(ValueError, match="an alpha of inf for cutmix"):
        Mixup(cutmix=float("inf"))
    with pytest.raises(ValueError, match="a switch of 2 is no probability"):
        Mixup(switch=2)
