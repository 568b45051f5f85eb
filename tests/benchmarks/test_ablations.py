"""The table of ablations runs, with every switch, and keeps what is finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ablations
from crossframe.recipes.load import load_recipe
from crossframe.train.run import train

TINY = ("train.epochs=1", "train.warmup_epochs=0", "train.workers=0", "train.precision=float32", "train.batch_size=4")
FULL = ("data.batches_per_epoch=1", "data.test_clips=2")


def _run(only: str, runs: Path, changes: tuple[str, ...], capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    switches = [word for change in changes for word in ("--set", change)]
    sizes = ["--seeds", "1", "--clips", "4", "--few-clips", "8", "--shots", "1"]
    ablations.main([*more, "--only", only, "--runs", str(runs), *sizes, *switches])
    return json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]


@pytest.fixture
def pretrained(tmp_path: Path) -> str:
    train(load_recipe("study-pretrain", ["data.batches_per_epoch=1", *TINY], tiny=True), tmp_path / "pretrained")
    return str(tmp_path / "pretrained/last")


@pytest.fixture
def some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that differ in the first stage, in the second, and in the test alone."""
    rows = {"X-CLIP": ablations.Row(), "one frame": ablations.TABLES["video encoder"]["one frame"]}
    rows["sparse, tested dense"] = ablations.TABLES["sampling"]["sparse, tested dense"]
    monkeypatch.setattr(ablations, "TABLES", {"some": rows})


@pytest.mark.usefixtures("some")
def test_both_columns_run_and_what_is_finished_is_kept(
    tmp_path: Path, pretrained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    full = _run("full", tmp_path / "runs", (*TINY, *FULL), capsys, pretrained)
    assert {name: set(scores[0]) >= set(ablations.FULL) for name, scores in full["some"].items()} == {
        "X-CLIP": True,
        "one frame": True,
    }
    few = _run("few", tmp_path / "runs", TINY, capsys, "--model", f"{tmp_path}/runs/seed-0/study/last")
    assert {name: list(scores[0]) for name, scores in few["some"].items()} == {
        "X-CLIP": [ablations.FEW],
        "one frame": [ablations.FEW],
        "sparse, tested dense": [ablations.FEW],
    }
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert _run("full", tmp_path / "runs", (*TINY, *FULL), capsys, pretrained) == full
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")} == times


@pytest.mark.slow
def test_every_row_runs(tmp_path: Path, pretrained: str, capsys: pytest.CaptureFixture[str]) -> None:
    full = _run("full", tmp_path / "runs", (*TINY, *FULL), capsys, pretrained)
    few = _run("few", tmp_path / "runs", TINY, capsys, "--model", f"{tmp_path}/runs/seed-0/study/last")
    assert list(full) == [title for title in ablations.TABLES if title != "sampling"]
    assert {title: list(rows) for title, rows in few.items()} == {t: list(r) for t, r in ablations.TABLES.items()}


def test_full_without_weights_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        ablations.main(["--only", "full"])
    assert refused.value.code == 2
    assert "study-pretrain" in capsys.readouterr().err
