"""Checkpoints are whole or not there."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
import torch

from crossframe.recipes.load import load_recipe
from crossframe.train.checkpoint import STATE, RunFolder, SaveError, load_state, save_folder, save_state
from crossframe.train.run import train


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


def test_a_disk_without_room_for_checkpoints_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run", writes=True)
    free = shutil.disk_usage(tmp_path)._replace(free=2_999_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    folder.check_room(1_000_000, 900_000)
    with pytest.raises(SaveError, match="need 3 MB, and 3 MB are free on the disk; make room") as caught:
        folder.check_room(1_000_000, 1_000_000)
    assert "\n" not in str(caught.value)
    RunFolder(tmp_path / "other", writes=False).check_room(1 << 60, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free._replace(free=1000))
    with pytest.raises(SaveError, match="its checkpoints need"):
        train(load_recipe("shapes", tiny=True), tmp_path / "full")
    assert not (tmp_path / "full" / "last").exists()


def test_the_room_asked_for_is_that_of_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(RunFolder, "check_room", lambda _self, *sizes: asked.append(sizes))
    few = ("train.epochs=1", "train.warmup_epochs=0", "train.average=0.9", "data.batches_per_epoch=2")
    train(load_recipe("shapes", few, tiny=True), tmp_path / "run")
    (sizes,) = asked
    for name, size in zip(("last", "best"), sizes, strict=True):
        found = sum(file.stat().st_size for file in (tmp_path / "run" / name).iterdir())
        assert found == pytest.approx(size, rel=0.25, abs=200_000)
