"""Training transforms: what is drawn depends on the seed, the batch's number and the clip alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossframe.data.batch import Batch, TrainBatch, classification
from crossframe.model.xclip import XCLIP
from crossframe.train.mixup import Mixup
from crossframe.train.transform import TrainTransform
from crossframe.video.augment import Augment
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
