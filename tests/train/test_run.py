"""Whole runs of tiny recipes: they learn, they can be interrupted, and they say what is wrong."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import pytest
import torch
from safetensors.torch import load_file

import crossframe
from crossframe.data.batch import TrainBatch
from crossframe.evaluate.trials import training_of
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.train import run as run_module
from crossframe.train.loop import DivergedError, Loop, StepReport
from crossframe.train.run import TrainingStopped, train
from crossframe.train.source import ClipSource
from tests.data.dataset import write_dataset


def tiny(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, overrides, tiny=True)


def losses(out: Path) -> list[float]:
    rows: list[float] = []
    for log in sorted((out / "logs" / "csv").glob("*/metrics.csv")):
        with log.open() as file:
            rows += [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    return rows


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "last" / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def _log_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LOG_EVERY", 1)


@pytest.mark.usefixtures("_log_every_step")
@pytest.mark.parametrize("name", ["shapes-pretrain", "shapes-order", "shapes-messages", "shapes"])
def test_tiny_recipes_learn(name: str, tmp_path: Path) -> None:
    summary = train(tiny(name), tmp_path)
    curve = losses(tmp_path)
    assert len(curve) == summary.steps == 30
    assert sum(curve[-8:]) < 0.97 * sum(curve[:8])


@pytest.mark.usefixtures("_log_every_step")
def test_finetuning_learns_from_files_and_counts_what_it_cannot_read(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "clips")  # all alike: what can be learned is to be sure of none of the classes
    recipe = tiny("finetune", "data.hold_out=0", "train.epochs=8")
    summary = train(recipe, tmp_path / "run", init="shapes", data=folder)
    curve = losses(tmp_path / "run")
    assert summary.unreadable == 8
    assert summary.clips == 8 * 8
    assert mean(curve[-4:]) < 1.1 * math.log(3) < mean(curve[:4])
    assert crossframe.load(tmp_path / "run" / "last").config == crossframe.load("shapes").config


def test_a_linear_head_learns_the_classes_of_a_folder(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "clips", broken=None)
    towers = "model.towers=" + json.dumps(asdict(tiny("shapes").model.towers))
    recipe = tiny("finetune", towers, "init=null", "model.linear_head=true", "model.frames=2", "train.epochs=2")
    train(recipe, tmp_path / "run", data=folder)
    model = crossframe.load(tmp_path / "run" / "last")
    assert model.config.num_classes == 3
    assert model(model.prepare(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))).shape == (1, 3)


def test_a_run_folder_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tiny("shapes", "train.epochs=1", "train.warmup_epochs=0", "train.average=0.9")
    summary = train(recipe, tmp_path)
    chosen, said = capsys.readouterr().err.splitlines()[:2]  # before the first step
    assert chosen == "precision: float32 on cpu"
    memory = r"memory: [\d.]+ MB for 8 clips at a time: weights [\d.]+ MB, optimizer .*, gradients and activations .*"
    assert re.fullmatch(memory + r"; (.* free.*|the device does not say how much is free)", said)
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert json.loads((tmp_path / "summary.json").read_text())["scores"] == summary.scores
    assert summary.scores.keys() == {"action", "opposite", "color", "shape"}
    assert {"torch", "device", "threads"} <= json.loads((tmp_path / "environment.json").read_text()).keys()
    assert list((tmp_path / "logs" / "tensorboard").rglob("events*"))
    for name in ("last", "best"):
        model = crossframe.load(tmp_path / name)
        assert model.config.num_frames == 4
        assert model.preprocess is not None
        assert model.tokenize(["a red circle moving left"]).shape[0] == 1
        assert training_of(str(tmp_path / name)) == {"recipe": "shapes", "init": None, "epochs": 1, "seed": 0}


def test_a_precision_is_chosen_once_and_stays_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny("shapes", "train.precision=auto", "train.epochs=1", "train.warmup_epochs=0")
    for fast, chosen in ((False, "float32"), (True, "bfloat16")):
        out = tmp_path / chosen
        for now in (fast, not fast):  # the run goes on where the other would be chosen
            monkeypatch.setattr("torch.cpu.get_capabilities", lambda now=now: {"avx512_bf16": now})
            goes_on = out.is_dir()
            train(recipe, out, resume=goes_on, epochs=2 if goes_on else None)
            why = "" if goes_on else ", which is what this device is fast at"
            assert capsys.readouterr().err.splitlines()[0] == f"precision: {chosen} on cpu{why}"
            assert load_recipe(out / "recipe.yaml").train.precision == chosen


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A tiny recipe in which everything that a checkpoint must keep is on, and the folder of its finished run."""
    recipe = tiny(
        "shapes",
        "train.save_every=4",
        "train.average=0.9",
        "train.rates.muon=1e-3",
        "train.accumulate=2",
        "model.drop_path=0.2",
        "model.towers.layers=2",
        "data.batches_per_epoch=9",
        "data.test_clips=4",
    )
    out = tmp_path_factory.mktemp("whole")
    train(recipe, out)
    return recipe, out


@pytest.mark.parametrize("stop", [2, 6])
def test_a_run_that_died_goes_on_to_the_same_weights(
    stop: int, uninterrupted: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, whole = uninterrupted
    steps = Loop.run

    def die(self: Loop, batches: Iterator[TrainBatch], stopping: Callable[[], bool]) -> Iterator[StepReport]:
        for report in steps(self, batches, stopping):
            if report.step == stop:
                raise MemoryError
            yield report

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "run", die)
        with pytest.raises(MemoryError):
            train(recipe, tmp_path)
    if stop < 4:  # before the first checkpoint
        with pytest.raises(ValueError, match="no checkpoint 'last' to go on from"):
            train(recipe, tmp_path, resume=True)
        return
    assert not same_weights(tmp_path, whole)
    summary = train(recipe, tmp_path, resume=True)
    assert same_weights(tmp_path, whole)
    finished = json.loads((whole / "summary.json").read_text())
    for name in ("steps", "scores", "best", "best_step", "clips"):
        assert getattr(summary, name) == finished[name]


@contextmanager
def ctrl_c_before_batch(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    batches = ClipSource.batches

    def press(self: ClipSource, start: int, stop: int) -> Iterator[TrainBatch]:
        for i, batch in enumerate(batches(self, start, stop)):
            if i == number:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(ClipSource, "batches", press)
        yield


def test_ctrl_c_saves_and_says_how_to_go_on(
    uninterrupted: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, whole = uninterrupted
    stopped = pytest.raises(TrainingStopped, match="after step 3 of 10; go on with --resume")
    with ctrl_c_before_batch(4, monkeypatch), stopped:
        train(recipe, tmp_path)
    train(recipe, tmp_path, resume=True)
    assert same_weights(tmp_path, whole)


def test_a_gpu_whose_memory_is_full_is_said_with_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    monkeypatch.setattr(Loop, "run", fail)
    with pytest.raises(ValueError, match=r"memory is full with train\.batch_size=8; take a smaller one and a larger"):
        train(tiny("shapes", "train.batch_size=8"), tmp_path)


def test_a_run_that_diverges_stops_and_says_what_to_do(tmp_path: Path) -> None:
    recipe = tiny("shapes", "train.rates.base=1e30", "train.clip_norm=null", "train.warmup_epochs=0")
    with pytest.raises(DivergedError, match=r"not a finite number within .* lower train\.rates\.base"):
        train(recipe, tmp_path)


def test_what_does_not_fit_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="draws its own data; leave out clips"):
        train(tiny("shapes"), tmp_path, data="clips")
    with pytest.raises(ValueError, match="give a manifest or a folder as data"):
        train(tiny("finetune"), tmp_path / "a")
    with pytest.raises(ValueError, match="missing"):
        train(tiny("finetune"), tmp_path / "b", init="missing.pt", data=write_dataset(tmp_path / "clips", broken=None))
    with pytest.raises(
        ValueError, match=r"shapes has pictures of .*, and model\.towers asks for pictures of 32, patches of 8"
    ):
        train(tiny("shapes"), tmp_path / "d", init="shapes")
    assert not (tmp_path / "d").exists()
    with pytest.raises(ValueError, match="no runs/first/last to start from; train it first, or give other weights"):
        train(tiny("shapes", "init=runs/first/last"), tmp_path / "e")
    (tmp_path / "c" / "last").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds a run already"):
        train(tiny("shapes"), tmp_path / "c")


def test_what_keeps_to_the_pretrained_weights_resumes_exactly_and_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny("shapes-order", "train.epochs=1", "train.warmup_epochs=0"), tmp_path / "first")
    start = tmp_path / "first" / "last"
    switches = ("train.interpolate={}", "train.distill={}", "train.average=epochs", "model.message_time=true")
    sizes = ("data.batches_per_epoch=4", "train.epochs=2", "train.save_every=3", "data.test_clips=4")
    recipe = tiny("shapes-messages", *switches, *sizes, "train.precision=bfloat16")
    train(recipe, tmp_path / "whole", init=start)
    with ctrl_c_before_batch(5, monkeypatch), pytest.raises(TrainingStopped):
        train(recipe, tmp_path / "cut", init=start)
    train(recipe, tmp_path / "cut", resume=True)
    assert same_weights(tmp_path / "cut", tmp_path / "whole")
    names = weights(tmp_path / "whole").keys()
    assert "vision.blocks.0.message.position" in names
    assert not any("teacher" in name or "residual" in name for name in names)
    train(tiny("shapes-messages", *sizes, "model.message_time=true"), tmp_path / "plain", init=start)
    assert not same_weights(tmp_path / "plain", tmp_path / "whole")


def test_there_must_be_pretrained_weights_to_keep_to(tmp_path: Path) -> None:
    for switch in ("train.interpolate={}", "train.distill={}"):
        with pytest.raises(ValueError, match="stay near pretrained weights; give them with --init"):
            train(tiny("shapes", switch), tmp_path)


def test_best_is_the_checkpoint_that_scored_best_and_of_equals_the_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, tested = iter([0.5, 0.75, 0.75, 0.25]), []

    def test(_source: ClipSource, model: crossframe.XCLIP) -> dict[str, float]:
        tested.append(model.vision.projection.detach().clone())
        return {"action": next(scores), "color": float(len(tested))}  # the first decides

    monkeypatch.setattr(ClipSource, "test", test)
    few = ("train.epochs=4", "train.warmup_epochs=0", "train.test_every=1", "data.batches_per_epoch=2")
    summary = train(tiny("shapes", *few), tmp_path)
    assert (summary.best, summary.best_step) == ({"action": 0.75, "color": 3.0}, 6)
    assert summary.scores == {"action": 0.25, "color": 4.0}
    best, last = (load_file(tmp_path / name / "model.safetensors") for name in ("best", "last"))
    (name,) = [name for name in best if best[name].shape == tested[0].shape and torch.equal(best[name], tested[2])]
    assert torch.equal(last[name], tested[3])
    assert not torch.equal(best[name], last[name])
