"""Muon against PyTorch's own, which computes in bfloat16."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from crossframe.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    values = torch.logspace(0, -1, min(shape)).expand(3, -1)
    left, right = (torch.linalg.qr(torch.randn(3, side, min(shape))).Q for side in shape)
    found = orthogonal(left * values.unsqueeze(1) @ right.mT)  # (3, R, C)
    between = left.mT @ found @ right
    singular = between.diagonal(dim1=1, dim2=2)
    assert 0.6 < singular.min() <= singular.max() < 1.25
    torch.testing.assert_close(between, torch.diag_embed(singular), atol=1e-4, rtol=0)


def test_steps_are_those_of_pytorch_within_its_rounding() -> None:
    ours = nn.Sequential(*(nn.Linear(rows, columns, bias=False) for rows, columns in ((12, 32), (32, 12), (12, 12))))
    theirs = deepcopy(ours)
    start = [parameter.detach().clone() for parameter in ours.parameters()]
    options = {"lr": 0.02, "weight_decay": 0.1}
    pairs = [
        (ours, Muon([{"params": list(ours.parameters()), **options}])),
        (theirs, torch.optim.Muon(theirs.parameters(), **options, adjust_lr_fn="match_rms_adamw")),
    ]
    for step in range(5):
        x = torch.randn(64, 12, generator=torch.Generator().manual_seed(step))
        for model, optimizer in pairs:
            optimizer.zero_grad()
            (model(x) - x.flip(1)).square().mean().backward()
            optimizer.step()
    for before, own, other in zip(start, ours.parameters(), theirs.parameters(), strict=True):
        assert (own - other).norm() < 0.02 * (other - before).norm()


def test_parameters_without_a_gradient_stay() -> None:
    used, unused = (nn.Parameter(torch.randn(4, 4)) for _ in range(2))
    before = unused.detach().clone()
    optimizer = Muon([{"params": [used, unused], "lr": 0.1, "weight_decay": 0.1}])
    used.sum().backward()
    optimizer.step()
    assert torch.equal(unused, before)
    assert set(optimizer.state) == {used}
