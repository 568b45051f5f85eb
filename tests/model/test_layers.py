"""What all towers share: attention, and tensors on their way to a device."""

from __future__ import annotations

import pytest
import torch

from crossframe.model.layers import Reach, attend
from crossframe.model.preprocess import to_device


def test_only_apples_gpus_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        torch.Tensor, "to", lambda _, place, non_blocking: asked.append((str(place), non_blocking)), raising=True
    )
    for device in ("cuda:1", torch.device("mps"), None):
        to_device(torch.ones(2), device)
    assert asked == [("cuda:1", True), ("mps", False), ("cpu", True)]


@pytest.mark.parametrize("causal", [False, True])
def test_attention_that_learns_in_bfloat16_is_that_of_the_kernel(causal: bool) -> None:
    q, k, v = torch.randn(3, 2, 5, 8)
    exact = attend(q, k, v, 2, Reach(causal=causal))
    learning = q.bfloat16().requires_grad_()  # which takes the plain products on a CPU
    torch.testing.assert_close(
        attend(learning, k.bfloat16(), v.bfloat16(), 2, Reach(causal=causal)).float(), exact, atol=0.03, rtol=0
    )
