"""From logits to a loss for each clip."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from crossframe.data.question import Question


def question_loss(logits: Tensor, question: Question, smoothing: float = 0.0) -> Tensor:
    """float (B, K) -> (B,): cross-entropy of each clip's answer, zero for clips that are not asked.

    Where the question goes both ways, each sentence is also matched to its clips: the symmetric contrastive loss of
    language-image pretraining, in which clips with the same caption are all right. The columns' mean is then spread
    evenly over the clips, so that the mean of the result is the mean of both directions.
    """
    targets = question.targets.to(logits)
    asked = targets.sum(dim=1, keepdim=True)
    rows = _cross_entropy(logits, (1 - smoothing) * targets + smoothing * asked / targets.shape[1])
    if not question.both_ways:
        return rows
    columns = targets.T / targets.sum(dim=0).clamp_min(1e-6).unsqueeze(1)  # (K, B)
    return (rows + _cross_entropy(logits.T, columns).mean()) / 2


def lesson_loss(logits: Tensor, questions: Iterable[Question], smoothing: float = 0.0) -> Tensor:
    """Logits of all questions side by side, (B, K1 + K2 + ...), to the sum of their losses, (B,)."""
    total = logits.new_zeros(logits.shape[0])
    start = 0
    for question in questions:
        stop = start + len(question.texts)
        total = total + question_loss(logits[:, start:stop], question, smoothing)
        start = stop
    return total


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, K), (B, K) -> (B,)"""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)
