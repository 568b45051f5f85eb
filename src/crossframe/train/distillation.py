"""Residual distillation (FROSTER): pretrained embeddings must stay recoverable from trained ones."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.model.layers import MLP
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP


class Distillation(nn.Module):
    """The distance between the teacher's embedding of a clip and the student's plus a small residual MLP of it.

    The MLP absorbs what the student must change for video, so that the student itself need not equal the teacher. It
    starts at zero, is trained with the student, and is not saved with the model.
    """

    def __init__(self, teacher: XCLIP, student: XCLIP, weight: float = 1.0) -> None:
        super().__init__()
        if (teacher.config.embed_dim, teacher.config.vision.image_size) != (
            student.config.embed_dim,
            student.config.vision.image_size,
        ):
            raise ValueError(
                f"the teacher embeds pictures of {teacher.config.vision.image_size} in {teacher.config.embed_dim} "
                f"dimensions, the student {student.config.vision.image_size} in {student.config.embed_dim}: "
                "train from weights of the student's size"
            )
        self.weight = weight
        self.teacher = teacher.eval().requires_grad_(False)
        self.residual = MLP(student.config.embed_dim, student.config.embed_dim, "gelu")
        nn.init.zeros_(self.residual.fc2.weight)
        nn.init.zeros_(self.residual.fc2.bias)
        scale, shift = _between(student.preprocess, teacher.preprocess)
        self.scale, self.shift = nn.Buffer(scale.view(3, 1, 1)), nn.Buffer(shift.view(3, 1, 1))

    def train(self, mode: bool = True) -> Self:
        """The teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, video: Tensor, embedding: Tensor) -> Tensor:
        """The student's input (B, T, 3, S, S) and its embedding (B, E) -> the loss of each clip (B,)."""
        with torch.no_grad():
            wanted = self.teacher.encode_video(video * self.scale + self.shift).embedding
        found = embedding + self.residual(embedding)
        apart = F.normalize(found.float(), dim=-1) - F.normalize(wanted.float(), dim=-1)
        return self.weight * apart.square().sum(dim=-1)


def _between(student: Preprocess, teacher: Preprocess) -> tuple[Tensor, Tensor]:
    """Factor and summand, (3,) each, that turn the student's normalised colours into the teacher's."""
    means, stds = (torch.tensor([getattr(one, name) for one in (student, teacher)]) for name in ("mean", "std"))
    return stds[0] / stds[1], (means[0] - means[1]) / stds[1]
