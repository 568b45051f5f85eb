"""What `--device` takes, on machines that this one is not."""

from __future__ import annotations

import pytest
import torch

from crossframe.cli.device import choose_device, devices


@pytest.fixture
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


@pytest.fixture
def _an_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)


@pytest.mark.usefixtures("_two_gpus")
def test_gpus_are_counted() -> None:
    assert [str(device) for device in devices()] == ["cpu", "cuda:0", "cuda:1"]
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    for name in ("cuda:2", "mps", "gpu", ""):
        with pytest.raises(ValueError, match=f"device '{name}' is not available here; choose cpu or cuda or cuda:0 or"):
            choose_device(name)


@pytest.mark.usefixtures("_an_apple")
def test_apples_gpu_has_no_number() -> None:
    assert [choose_device(name).type for name in ("cpu", "mps")] == ["cpu", "mps"]
    with pytest.raises(ValueError, match="'cuda' is not available here; choose cpu or mps"):
        choose_device("cuda")
