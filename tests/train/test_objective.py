"""Losses against torch's own and against sums done by hand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from crossframe.data.batch import Task, make_task
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Rates
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.objective import (
    Distillation,
    Interpolation,
    batch_loss,
    pretrained_values,
    sigmoid_loss,
    task_loss,
)
from crossframe.train.optimizer import AveragedWeights, auxiliary_optimizer, freeze
from crossframe.train.schedule import Schedule
from crossframe.weights import expand
from tests.train.test_loop import batches, make_loop, weights


def task_of(targets: torch.Tensor, *, symmetric: bool = False) -> Task:
    return Task("which", tuple("abcde"[: targets.shape[1]]), targets, symmetric=symmetric)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hard_labels_give_torchs_cross_entropy(smoothing: float) -> None:
    logits, labels = torch.randn(4, 5), torch.tensor([3, 0, 4, 4])
    ours = task_loss(logits, task_of(F.one_hot(labels, 5).float()), smoothing)
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(ours, expected)


def test_soft_labels_give_torchs_cross_entropy() -> None:
    logits, targets = torch.randn(4, 5), torch.rand(4, 5).softmax(dim=1)
    torch.testing.assert_close(task_loss(logits, task_of(targets)), F.cross_entropy(logits, targets, reduction="none"))


def test_a_clip_without_target_adds_nothing() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    logits = torch.randn(2, 2, requires_grad=True)
    loss = task_loss(logits, task_of(targets), 0.1)
    loss.sum().backward()
    assert loss[1] == 0
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert logits.grad[0].any()


def test_a_symmetric_task_has_the_symmetric_contrastive_loss() -> None:
    logits, labels = torch.randn(4, 4), torch.arange(4)
    ours = task_loss(logits, task_of(torch.eye(4), symmetric=True)).mean()
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(ours, expected)


def test_clips_with_one_caption_are_all_right() -> None:
    task = make_task("caption", [["a"], ["b"], ["a"]])
    task = Task("caption", task.texts, task.targets, symmetric=True)
    perfect = task.targets * 50
    # the caption "a" belongs to two clips alike, which costs log 2 however good the model is
    expected = (0 + torch.tensor([2.0, 1.0]).log().mean()) / 2
    assert task_loss(perfect, task).mean() == pytest.approx(float(expected), abs=1e-6)


def test_tasks_stand_side_by_side() -> None:
    first, second = task_of(torch.eye(3)[:2]), task_of(torch.eye(2))
    logits = torch.randn(2, 5)
    expected = task_loss(logits[:, :3], first) + task_loss(logits[:, 3:], second)
    torch.testing.assert_close(batch_loss(logits, [first, second]), expected)


def test_targets_that_do_not_fit_the_texts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"task 'which' has targets \(2, 3\); expected \(2, 2\)"):
        Task("which", ("a", "b"), torch.zeros(2, 3))


@pytest.fixture
def model(tiny_config: ModelConfig) -> XCLIP:
    return XCLIP(tiny_config, tokenizer=Tokenizer.clip(), preprocess=Preprocess(32, 32))


@pytest.fixture
def pretrained(model: XCLIP) -> XCLIP:
    """A language-image model that differs from the model's own image encoder."""
    clip = expand(model, 1, mixing="none", mit_layers=0, prompt_layers=0)
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return clip


def test_fractions_depend_on_seed_and_batch_alone_and_fill_the_range() -> None:
    one, other = Interpolation({}, seed=1), Interpolation({}, seed=2)
    drawn = [one.fraction(number) for number in range(200)]
    assert drawn == [Interpolation({}, seed=1).fraction(number) for number in range(200)]
    assert drawn != [other.fraction(number) for number in range(200)]
    assert 0.0 <= min(drawn) < 0.05
    assert 0.55 < max(drawn) <= 0.6


def test_only_what_learns_and_has_a_twin_is_moved(model: XCLIP, pretrained: XCLIP) -> None:
    freeze(model, vision=True, text=False)
    values = pretrained_values(model, pretrained)
    assert "vision.projection" in values
    assert not any(name.startswith(("text.", "mit.", "prompts.")) or ".message." in name for name in values)
    moved = Interpolation(values, seed=3).moved(model, 5)
    fraction = Interpolation(values, seed=3).fraction(5)
    expected = (1 - fraction) * model.vision.projection + fraction * pretrained.vision.projection
    torch.testing.assert_close(moved["vision.projection"], expected)


def test_a_step_descends_both_losses_by_the_chain_rule(model: XCLIP, pretrained: XCLIP) -> None:
    loop = make_loop(model, Schedule(1, 1))
    loop.objective.interpolation = Interpolation(pretrained_values(model, pretrained), weight=0.5, seed=7)
    (batch,) = batches([4])
    video, before = model.prepare(batch.clips.videos), weights(model)
    fraction = loop.objective.interpolation.fraction(0)

    def loss_and_gradients() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model.zero_grad()
        tokens = model.tokenize(batch.tasks[0].texts)
        loss = batch_loss(model(video, tokens), batch.tasks, 0.1).mean()
        loss.backward()
        return loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    plain, gradients = loss_and_gradients()
    values = loop.objective.interpolation.pretrained
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in values:
                parameter.copy_((1 - fraction) * before[name] + fraction * values[name])
    second, other = loss_and_gradients()
    model.load_state_dict(before)
    model.zero_grad()

    (report,) = loop.run(batches([4]))
    torch.testing.assert_close(report.loss, plain + 0.5 * second)
    for name, weight in weights(model).items():
        factor = 0.5 * (1 - fraction if name in values else 1.0)
        expected = before[name] - 0.1 * (gradients[name] + factor * other[name])
        torch.testing.assert_close(weight, expected, atol=1e-6, rtol=1e-4)


def test_epochs_are_averaged_plainly(model: XCLIP) -> None:
    average = AveragedWeights(model, None, every=3)
    weight = model.vision.projection
    taken: list[torch.Tensor] = []
    for step in range(8):
        with torch.no_grad():
            weight.add_(1.0)
        average.update()
        if step % 3 == 2:
            taken.append(weight.detach().clone())
        with average.applied():
            expected = torch.stack(taken).mean(dim=0) if taken else weight
            torch.testing.assert_close(model.vision.projection.detach(), expected.detach())
    assert len(taken) == 2


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


def test_the_sigmoid_loss_judges_each_pair_by_itself() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    task = Task("label", ("a", "b", "c"), targets)
    signs = 2 * targets - 1
    expected = -F.logsigmoid(signs * logits).sum(dim=1)
    expected[2] = 0.0  # a clip without a target teaches nothing
    torch.testing.assert_close(sigmoid_loss(logits, task), expected)
    torch.testing.assert_close(batch_loss(logits, [task], loss="sigmoid"), expected)
