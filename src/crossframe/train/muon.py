"""Muon: weight matrices move by their momentum with all its singular values brought near one.

torch.optim.Muon, step for step, but in float32: there it is bfloat16, which processors without such products imitate
twenty times slower than all the rest of a training step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

# Of the quintic polynomial that is applied to the singular values, five times: https://kellerjordan.github.io/posts/muon/
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 5


class Muon(Optimizer):
    """For parameters of two dimensions, with Nesterov momentum and decoupled weight decay.

    An update is as large as AdamW's would be: 0.2 sqrt(max(rows, columns)) times the rate, as in "Muon is Scalable for
    LLM Training" (arXiv 2502.16982).
    """

    def __init__(
        self, params: Iterable[dict[str, Any]], *, lr: float = 1e-3, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict[torch.Size, list[tuple[Tensor, Tensor]]](list)  # matrices of one shape go together
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._momentum(parameter, group["momentum"])
                    alike[parameter.shape].append((parameter, update))
            for shape, pairs in alike.items():
                size = 0.2 * sqrt(max(shape)) * group["lr"]
                updates = orthogonal(torch.stack([update for _, update in pairs]))
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-size)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, R, C) -> float32 (N, R, C): each U S V^T becomes about U V^T, with singular values of 0.7 to 1.2.

    Each round multiplies X by a polynomial of its Gram matrix X X^T. All of these commute, so the rounds go over the
    small Gram matrix alone, and their product meets X once.
    """
    x = matrices.float()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x  # the Gram matrix is of the smaller side
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    gram = x @ x.mT
    whole = identity = torch.eye(gram.shape[1], device=x.device)
    for number in range(ROUNDS):
        factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C) + A * identity
        whole = factor @ whole
        if number + 1 < ROUNDS:
            gram = factor @ gram @ factor
    x = whole @ x
    return x.mT if tall else x
