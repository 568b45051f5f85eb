"""Losses against torch's own and against sums done by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from crossframe.data.batch import Task, make_task
from crossframe.train.losses import batch_loss, task_loss


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
