"""Losses against torch's own and against sums done by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from crossframe.data.question import Question, choose
from crossframe.train.losses import lesson_loss, question_loss


def asked(targets: torch.Tensor, *, both_ways: bool = False) -> Question:
    return Question("which", tuple("abcde"[: targets.shape[1]]), targets, both_ways=both_ways)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hard_labels_give_torchs_cross_entropy(smoothing: float) -> None:
    logits, labels = torch.randn(4, 5), torch.tensor([3, 0, 4, 4])
    ours = question_loss(logits, asked(F.one_hot(labels, 5).float()), smoothing)
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(ours, expected)


def test_soft_labels_give_torchs_cross_entropy() -> None:
    logits, targets = torch.randn(4, 5), torch.rand(4, 5).softmax(dim=1)
    torch.testing.assert_close(
        question_loss(logits, asked(targets)), F.cross_entropy(logits, targets, reduction="none")
    )


def test_a_clip_that_is_not_asked_adds_nothing() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    logits = torch.randn(2, 2, requires_grad=True)
    loss = question_loss(logits, asked(targets), 0.1)
    loss.sum().backward()
    assert loss[1] == 0
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert logits.grad[0].any()


def test_both_ways_is_the_symmetric_contrastive_loss() -> None:
    logits, labels = torch.randn(4, 4), torch.arange(4)
    ours = question_loss(logits, asked(torch.eye(4), both_ways=True)).mean()
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(ours, expected)


def test_clips_with_one_caption_are_all_right() -> None:
    question = choose("caption", [["a"], ["b"], ["a"]])
    question = Question("caption", question.texts, question.targets, both_ways=True)
    perfect = question.targets * 50
    # the caption "a" belongs to two clips alike, which costs log 2 however good the model is
    expected = (0 + torch.tensor([2.0, 1.0]).log().mean()) / 2
    assert question_loss(perfect, question).mean() == pytest.approx(float(expected), abs=1e-6)


def test_questions_stand_side_by_side() -> None:
    first, second = asked(torch.eye(3)[:2]), asked(torch.eye(2))
    logits = torch.randn(2, 5)
    expected = question_loss(logits[:, :3], first) + question_loss(logits[:, 3:], second)
    torch.testing.assert_close(lesson_loss(logits, [first, second]), expected)


def test_answers_that_do_not_fit_the_sentences_are_refused() -> None:
    with pytest.raises(ValueError, match=r"question 'which' has answers \(2, 3\); expected \(2, 2\)"):
        Question("which", ("a", "b"), torch.zeros(2, 3))
