"""The paper's optimizer and losses, written out plainly, for comparing whole training steps with the authors'."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.model.xclip import XCLIP

NEW_PARTS = (".message.", "mit.", "prompts.")
POSITIONS = ("text.position", "vision.position", "mit.position")


def freeze_text(model: XCLIP) -> None:
    """What the paper's headline numbers leave alone: the text encoder and the temperature."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("vision.", "mit.", "prompts.")))


def optimizer(model: XCLIP) -> torch.optim.AdamW:
    """AdamW with a tenfold rate for new parts; no decay for 1-D parameters, biases and positions."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = 8e-5 if name.startswith(NEW_PARTS[1:]) or NEW_PARTS[0] in name else 8e-6
            plain = parameter.dim() == 1 or name.endswith(".bias") or name in POSITIONS
            groups.setdefault((rate, 0.0 if plain else 0.001), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()],
        betas=(0.9, 0.98),
        eps=1e-8,
    )


def soft_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def smoothed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=0.1)
