"""From logits to a loss for each clip."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from crossframe.data.batch import Task
from crossframe.model.layers import to_device


def task_loss(logits: Tensor, task: Task, smoothing: float = 0.0) -> Tensor:
    """float (B, K) -> (B,): the cross-entropy of each clip, zero for clips without a target.

    A symmetric task also matches each text to its clips: the contrastive loss of language-image pretraining, in which
    all clips with the same caption count as right. The mean over texts is spread evenly over the clips, so that the
    mean of the result is the mean of both directions.
    """
    targets = to_device(task.targets, logits.device).to(logits.dtype)
    mass = targets.sum(dim=1, keepdim=True)  # 1, or 0 without a target
    rows = _cross_entropy(logits, (1 - smoothing) * targets + smoothing * mass / targets.shape[1])
    if not task.symmetric:
        return rows
    columns = targets.T / targets.sum(dim=0).clamp_min(1e-6).unsqueeze(1)  # (K, B)
    return (rows + _cross_entropy(logits.T, columns).mean()) / 2


def batch_loss(logits: Tensor, tasks: Iterable[Task], smoothing: float = 0.0) -> Tensor:
    """Logits of all tasks side by side, (B, K1 + K2 + ...) -> the sum of their losses, (B,)."""
    total = logits.new_zeros(logits.shape[0])
    start = 0
    for task in tasks:
        stop = start + len(task.texts)
        total = total + task_loss(logits[:, start:stop], task, smoothing)
        start = stop
    return total


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, K), (B, K) -> (B,)"""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)
