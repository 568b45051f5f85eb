"""`crossframe blend` and `evaluate --blend`: the same weights either way, and one line for what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.cli import main
from crossframe.weights import blending
from crossframe.weights.blending import blend
from crossframe.weights.saving import fingerprint
from tests.data.dataset import write_dataset


@pytest.fixture
def pair(tiny_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A tuned model and the one it came from."""
    tuned = crossframe.load(tiny_folder)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return crossframe.save(tuned, tmp_path / "tuned"), tiny_folder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_a_blended_folder_is_what_evaluate_blends(pair: tuple[Path, Path], tmp_path: Path) -> None:
    tuned, pretrained = pair
    assert run("blend", tuned, pretrained, "--weight", 0.25, "--out", tmp_path / "new") == 0
    mixed = crossframe.load(tmp_path / "new")
    assert fingerprint(mixed) == fingerprint(blend(crossframe.load(tuned), crossframe.load(pretrained), 0.25))
    settings = ("--videos", 4, "--set", f"init={pretrained}", "--out", tmp_path / "scores")
    assert run("evaluate", "shapes", "--model", tuned, "--blend", 0.25, *settings) == 0
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert summary["made_with"]["weights"] == fingerprint(mixed)


def test_the_weight_is_chosen_on_clips(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blending, "CANDIDATES", (0.0, 0.5, 1.0))
    clips = write_dataset(tmp_path / "clips", 1, broken=None)
    assert run("blend", *pair, "--choose-on", clips, "--choose-on", clips, "--out", tmp_path / "new") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "new")
    chosen = [line for line in lines if line.endswith("<")]
    assert [line[:3] for line in lines[:-1]] == ["0.0", "0.5", "1.0"]
    assert len(chosen) == 1
    expected = blend(*map(crossframe.load, pair), float(chosen[0].split()[0]))
    assert fingerprint(crossframe.load(tmp_path / "new")) == fingerprint(expected)


@pytest.mark.parametrize("given", [(), ("--weight", 0.5, "--choose-on", "clips")])
def test_a_weight_or_clips_to_choose_it_on(
    given: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("blend", "a", "b", "--out", tmp_path, *given) == 2
    assert "give one of them, a number or clips of classes left out of training" in capsys.readouterr().err


def test_clips_to_choose_on_are_looked_for_before_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("blend", "no/model", "no/model", "--choose-on", tmp_path / "gone", "--out", tmp_path / "new") == 1
    assert capsys.readouterr().err.startswith(f"crossframe: {tmp_path / 'gone'} does not exist")


def test_evaluate_asks_for_the_weights_to_blend_with(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("shapes", "--videos", 4, "--model", tiny_folder, "--blend", 0.5, "--out", tmp_path / "scores")
    assert run("evaluate", *arguments, "--set", "init=null") == 1
    error = capsys.readouterr().err
    assert "give those that training started from: --set init=" in error
    assert error.count("\n") == 1


def test_a_folder_that_cannot_be_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run("blend", "no weights", "nor these", "--weight", 0.5, "--out", tmp_path / "file") == 1
    assert capsys.readouterr().err.endswith("file: is a file, where a folder is needed; give another path\n")


def test_a_checkpoint_is_not_written_over_by_its_blend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last").mkdir()
    assert run("blend", tmp_path / "last", "shapes", "--weight", 0.5, "--out", tmp_path / "last") == 1
    assert "last is read, and would be written over" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_text("of somebody")
    for words in (
        ("blend", tmp_path / "last", "shapes", "--weight", 0.5),
        ("calibrate", "--model", "shapes", "--data", tmp_path),
    ):
        assert run(*words, "--out", tmp_path / "other") == 1
        told = capsys.readouterr().err
        assert "other holds model.safetensors of another model or run; give --out another folder" in told
