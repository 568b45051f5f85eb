"""Distillation: zero at the start, the teacher unmoved and seen in its own colours, the MLP taught and not kept."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Rates
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.distillation import Distillation
from crossframe.train.optimizer import auxiliary_optimizer
from crossframe.train.schedule import Schedule
from crossframe.weights import expand
from tests.train.test_loop import batches, make_loop, weights


@pytest.fixture
def teacher(tiny_config: ModelConfig) -> XCLIP:
    """A language-image model with CLIP's own pictures."""
    config = replace(tiny_config, vision=replace(tiny_config.vision, mixing="none"), mit=None, prompts=None)
    return XCLIP(config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.clip(32))


def test_an_untrained_student_is_at_no_distance_though_its_colours_are_others(teacher: XCLIP) -> None:
    same = expand(teacher, 4, mixing="none", mit_layers=0, prompt_layers=0)
    same.preprocess = Preprocess.xclip(32)
    assert same.preprocess.mean != teacher.preprocess.mean
    frames = torch.randint(0, 256, (2, 4, 3, 36, 36), dtype=torch.uint8)
    seen = same.preprocess(frames)
    distillation = Distillation(teacher, same)
    mean, std = (torch.tensor(getattr(teacher.preprocess, name)).view(3, 1, 1) for name in ("mean", "std"))
    own_mean, own_std = (torch.tensor(getattr(same.preprocess, name)).view(3, 1, 1) for name in ("mean", "std"))
    colours = seen * own_std + own_mean
    wanted = teacher.encode_video((colours - mean) / std).embedding
    torch.testing.assert_close(distillation(seen, 3.0 * wanted), torch.zeros(2), atol=1e-5, rtol=0)
    other = torch.randn(2, teacher.config.embed_dim)
    expected = (F.normalize(other, dim=-1) - F.normalize(wanted, dim=-1)).square().sum(dim=-1)
    torch.testing.assert_close(distillation(seen, other), expected)
    torch.testing.assert_close(Distillation(teacher, same, weight=2.0)(seen, other), 2 * expected)


def test_the_student_and_the_residual_learn_and_the_teacher_does_not(teacher: XCLIP) -> None:
    model = expand(teacher, 4)
    loop = make_loop(model, Schedule(1, 3))
    distillation = Distillation(teacher, model)
    loop.objective.distillation = distillation
    loop.optimizers.append(auxiliary_optimizer(distillation, Rates(base=1e-2, new=1.0), model.config.vision.width))
    taught, before = weights(teacher), distillation.residual.fc2.weight.detach().clone()
    distillation.train()
    assert not teacher.training
    first, *_, last = [report.loss for report in loop.run(batches([6, 6, 6]))]
    assert last < first
    assert not torch.equal(distillation.residual.fc2.weight, before)
    assert all(torch.equal(weight, taught[name]) for name, weight in weights(teacher).items())
    assert not any("residual" in name for name in model.state_dict())
    state, learnt = deepcopy(loop.state()), distillation.residual.fc2.weight.detach().clone()
    with torch.no_grad():
        distillation.residual.fc2.weight.zero_()
    loop.restore(state)
    assert torch.equal(distillation.residual.fc2.weight, learnt)


def test_the_plain_loss_stays_what_it_was_without_distillation(teacher: XCLIP) -> None:
    torch.manual_seed(5)
    model = expand(teacher, 4)
    start = weights(model)
    (plain,) = make_loop(model, Schedule(1, 1)).run(batches([4]))
    model.load_state_dict(start)
    loop = make_loop(model, Schedule(1, 1))
    loop.objective.distillation = Distillation(teacher, model)
    (report,) = loop.run(batches([4]))
    assert 0 < report.loss - plain.loss <= 4  # the farthest two unit vectors can be apart, squared


def test_a_teacher_of_another_size_is_refused(teacher: XCLIP) -> None:
    student = expand(teacher, 4)
    small = XCLIP(replace(teacher.config, embed_dim=16), preprocess=teacher.preprocess)
    with pytest.raises(ValueError, match="the teacher embeds pictures of 32 in 16 dimensions, the student 32 in 32"):
        Distillation(small, student)
