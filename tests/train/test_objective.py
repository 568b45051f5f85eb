"""Losses against torch's own and against sums done by hand."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from crossframe.data.batch import Task, make_task
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Distill, Interpolate, Rates, Train
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.loop import Learner
from crossframe.train.objective import (
    ClipDistillation,
    Distillation,
    FrameDistillation,
    Interpolation,
    Learned,
    Residual,
    batch_loss,
    build_objective,
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


def labeled() -> tuple[torch.Tensor, tuple[Task, ...]]:
    """A batch as the transform gives it, in float64."""
    (batch,) = batches([4])
    return batch.clips.videos.double() / 64 - 2, batch.tasks


def gradients_of(modules: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}{name}": parameter.grad.clone()
        for prefix, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("gradient", ["authors", "chain"])
def test_interpolated_training_adds_gradients_as_open_vclips_loop_or_by_the_chain_rule(
    gradient: Literal["authors", "chain"], model: XCLIP, pretrained: XCLIP
) -> None:
    model.double(), pretrained.double()
    video, tasks = labeled()
    tokens, before = model.tokenize(tasks[0].texts), weights(model)
    asked = {"weight": 0.3, "gradient": gradient}
    train = Train(epochs=9, batch_size=4, seed=7, interpolate=Interpolate(**asked))
    objective = build_objective(train, model, Learner(model), nullcontext, pretrained)
    assert objective.interpolation is not None
    values, fraction = objective.interpolation.pretrained, objective.interpolation.fraction(3)

    # as their loop: other weights are put into the model, which goes back and forth, and then its own weights again
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in values:
                parameter.copy_(values[name] * fraction + before[name] * (1 - fraction))
    second = 0.3 * batch_loss(model(video, tokens), tasks, 0.1).sum()
    second.backward()
    recorded = gradients_of({"": model})
    model.load_state_dict(before)
    model.zero_grad()
    first = batch_loss(model(video, tokens), tasks, 0.1).sum()
    first.backward()
    expected = gradients_of({"": model})
    for name, value in recorded.items():
        expected[name] += value * (1 - fraction if gradient == "chain" and name in values else 1.0)
    model.zero_grad()

    ours = [loss.sum() for loss in objective(video, tokens, None, tasks, 3)]
    for loss in ours:
        loss.backward()
    torch.testing.assert_close(torch.stack(ours), torch.stack([first, second]), atol=1e-12, rtol=1e-12)
    found = gradients_of({"": model})
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-12, rtol=1e-12)
    assert fraction > 0.05


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


def learned(embedding: torch.Tensor, frames: torch.Tensor, text: torch.Tensor | None = None) -> Learned:
    return Learned(torch.zeros(len(embedding), 1), embedding, frames, text)


def test_an_untrained_student_is_at_no_distance_though_its_colors_are_others(teacher: XCLIP) -> None:
    same = expand(teacher, 4, mixing="none", mit_layers=0, prompt_layers=0)
    same.preprocess = Preprocess.xclip(32)
    assert same.preprocess.mean != teacher.preprocess.mean
    frames = torch.randint(0, 256, (2, 4, 3, 36, 36), dtype=torch.uint8)
    seen = same.preprocess(frames)
    mean, std = (torch.tensor(getattr(teacher.preprocess, name)).view(3, 1, 1) for name in ("mean", "std"))
    own_mean, own_std = (torch.tensor(getattr(same.preprocess, name)).view(3, 1, 1) for name in ("mean", "std"))
    colors = seen * own_std + own_mean
    wanted = teacher.encode_video((colors - mean) / std)
    alike = learned(3.0 * wanted.embedding, 2.0 * wanted.frames)
    other = learned(torch.randn_like(wanted.embedding), torch.randn_like(wanted.frames))
    for kind, theirs, of_other in (
        (ClipDistillation, wanted.embedding, other.embedding),
        (FrameDistillation, wanted.frames, other.frames),
    ):
        distillation = kind(teacher, same)
        torch.testing.assert_close(distillation(seen, None, alike), torch.zeros(2), atol=1e-5, rtol=0)
        # the squared distance on the unit sphere, which is twice 1 - cosine
        squared = (F.normalize(of_other, dim=-1) - F.normalize(theirs, dim=-1)).square().sum(dim=-1)
        expected = squared if squared.dim() == 1 else squared.mean(dim=1)
        torch.testing.assert_close(distillation(seen, None, other), expected)
        torch.testing.assert_close(kind(teacher, same, weight=6.0)(seen, None, other), 3 * expected)


@pytest.mark.parametrize("text_learns", [True, False])
def test_distillation_is_that_of_frosters_code(text_learns: bool, teacher: XCLIP) -> None:
    """Derived once more from what their code computes: unit vectors of frames and texts, each with a tenth of a
    bias-free projector of itself, and the mean of 1 - cosine to those of the frozen model."""
    torch.manual_seed(3)
    student = expand(teacher, 4).double()
    teacher.double()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    freeze(student, vision=True, text=text_learns)
    asked = Distill(weight=1.7)
    objective = build_objective(
        Train(epochs=9, batch_size=4, distill=asked), student, Learner(student), nullcontext, teacher
    )
    distillation = objective.distillation
    assert isinstance(distillation, FrameDistillation)
    distillation.double()
    for residual in (distillation.frames, distillation.texts):
        assert not residual.fc2.weight.any()
        assert float(residual.fc1.weight.detach().std()) == pytest.approx((2 / 32) ** 0.5, rel=0.1)  # Kaiming's
        nn.init.normal_(residual.fc2.weight, std=0.3)
    video, tasks = labeled()
    tokens = student.tokenize(tasks[0].texts)
    modules: dict[str, nn.Module] = {"": student, "frames.": distillation.frames, "texts.": distillation.texts}

    def apart(new: torch.Tensor, old: torch.Tensor, projector: Residual) -> torch.Tensor:
        new, old = new / new.norm(dim=-1, keepdim=True), old / old.norm(dim=-1, keepdim=True)
        hidden = new @ projector.fc1.weight.T
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        new = new + 0.1 * (hidden @ projector.fc2.weight.T)
        return 1 - ((new * old).sum(dim=-1) / (new.norm(dim=-1) * old.norm(dim=-1))).mean()

    text = student.encode_text(tokens)
    expected = batch_loss(student(video, tokens), tasks, 0.1).mean()
    with torch.no_grad():
        old = teacher.vision(video * distillation.scale + distillation.shift)[0]
        said = teacher.encode_text(tokens)
    expected = expected + 1.7 * apart(student.vision(video)[0], old, distillation.frames)
    if text_learns:
        expected = expected + 1.7 * apart(text, said, distillation.texts)
    expected.backward()
    wanted = gradients_of(modules)
    for module in modules.values():
        module.zero_grad()

    given = (tokens, None) if text_learns else (None, text.detach())
    (loss,) = objective(video, *given, tasks, 0)
    loss.mean().backward()
    torch.testing.assert_close(loss.mean(), expected, atol=1e-12, rtol=1e-12)
    found = gradients_of(modules)
    assert found.keys() == wanted.keys()
    assert any(name.startswith("texts.") for name in found) == text_learns
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", [ClipDistillation, FrameDistillation])
def test_the_student_and_the_residual_learn_and_the_teacher_does_not(kind: type[Distillation], teacher: XCLIP) -> None:
    model = expand(teacher, 4)
    loop = make_loop(model, Schedule(1, 3))
    distillation = kind(teacher, model)
    loop.objective.distillation = distillation
    rates = Rates(base=1e-2, new=1.0)
    loop.optimizers.append(auxiliary_optimizer(distillation.residual, rates, model.config.vision.width))
    taught, before = weights(teacher), deepcopy(distillation.residual.state_dict())
    distillation.train()
    assert not teacher.training
    first, *_, last = [report.loss for report in loop.run(batches([6, 6, 6]))]
    assert last < first
    assert not all(torch.equal(value, before[name]) for name, value in distillation.residual.state_dict().items())
    assert all(torch.equal(weight, taught[name]) for name, weight in weights(teacher).items())
    assert not any("residual" in name for name in model.state_dict())
    state, learnt = deepcopy(loop.state()), deepcopy(distillation.residual.state_dict())
    distillation.residual.load_state_dict(before)
    loop.restore(state)
    assert all(torch.equal(value, learnt[name]) for name, value in distillation.residual.state_dict().items())


def test_the_plain_loss_stays_what_it_was_without_distillation(teacher: XCLIP) -> None:
    torch.manual_seed(5)
    model = expand(teacher, 4)
    start = weights(model)
    (plain,) = make_loop(model, Schedule(1, 1)).run(batches([4]))
    model.load_state_dict(start)
    loop = make_loop(model, Schedule(1, 1))
    loop.objective.distillation = ClipDistillation(teacher, model)
    (report,) = loop.run(batches([4]))
    assert 0 < report.loss - plain.loss <= 4  # twice the largest 1 - cosine there is


def test_a_teacher_of_another_size_is_refused(teacher: XCLIP) -> None:
    student = expand(teacher, 4)
    small = XCLIP(replace(teacher.config, embed_dim=16), preprocess=teacher.preprocess)
    with pytest.raises(ValueError, match="the teacher embeds pictures of 32 in 16 dimensions, the student 32 in 32"):
        ClipDistillation(small, student)


def test_the_sigmoid_loss_judges_each_pair_by_itself() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    task = Task("label", ("a", "b", "c"), targets)
    signs = 2 * targets - 1
    expected = -F.logsigmoid(signs * logits).sum(dim=1)
    expected[2] = 0.0  # a clip without a target teaches nothing
    torch.testing.assert_close(sigmoid_loss(logits, task), expected)
    torch.testing.assert_close(batch_loss(logits, [task], loss="sigmoid"), expected)
