"""Checkpoints are whole or not there."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from crossframe.train.checkpoint import STATE, SaveError, load_state, save_folder, save_state


def writer(text: str) -> object:
    return lambda folder: (folder / "file").write_text(text)


def test_a_failure_while_writing_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    save_folder(folder, writer("old"))

    def fail(target: Path) -> None:
        (target / "file").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match=r"cannot save to .*last: No space left on device; it is as it was"):
        save_folder(folder, fail)
    assert (folder / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("tensors", [500, 400_000])
def test_a_disk_that_takes_no_more_keeps_the_old_checkpoint(tmp_path: Path, tensors: int) -> None:
    folder = tmp_path / "last"
    save_folder(folder, lambda target: save_state({"weights": torch.zeros(10)}, target))
    before = (folder / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(
            SaveError, match=r"cannot save to [^;\[]*; it is as it was, make room and go on with --resume"
        ):
            save_folder(folder, lambda target: save_state({"weights": torch.zeros(tensors)}, target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / STATE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_the_state_comes_back(tmp_path: Path) -> None:
    state = {"step": 3, "weights": {"a": torch.randn(3)}, "names": ["x"], "none": None}
    save_state(state, tmp_path)
    back = load_state(tmp_path)
    assert torch.equal(back.pop("weights")["a"], state.pop("weights")["a"])
    assert back == state


def test_a_folder_without_a_state_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to resume from"):
        load_state(tmp_path)
