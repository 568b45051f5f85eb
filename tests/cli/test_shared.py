"""The devices of machines that this one is not, and JSON for programs on any terminal."""

from __future__ import annotations

import json

import pytest
import torch

from crossframe.cli.shared import choose_device, devices, json_line

NOT_UTF_8 = b"\xff.mp4".decode(errors="surrogateescape")  # as Python reads such a file's name


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


@pytest.mark.parametrize(
    ("word", "encoding", "shown"),
    [
        ("café", "utf-8", "café"),
        ("拉小提琴", "utf-8", "拉小提琴"),
        ("café", "latin-1", "café"),
        ("café", "ascii", "caf\\u00e9"),
        (NOT_UTF_8, "utf-8", "\\udcff.mp4"),
    ],
)
def test_characters_are_shown_where_they_can_be(word: str, encoding: str, shown: str) -> None:
    line = json_line({"label": word}, encoding)
    assert line == f'{{"label": "{shown}"}}'
    assert json.loads(line.encode(encoding).decode(encoding)) == {"label": word}
