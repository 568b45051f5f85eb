"""What all towers share: tensors on their way to a device."""

from __future__ import annotations

import pytest
import torch

from crossframe.model.preprocess import to_device


def test_only_apples_gpus_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        torch.Tensor, "to", lambda _, place, non_blocking: asked.append((str(place), non_blocking)), raising=True
    )
    for device in ("cuda:1", torch.device("mps"), None):
        to_device(torch.ones(2), device)
    assert asked == [("cuda:1", True), ("mps", False), ("cpu", True)]
