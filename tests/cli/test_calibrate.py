"""`crossframe calibrate`, and what later commands make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import crossframe
from crossframe.recipes.load import load_recipe
from crossframe.train.run import train
from tests.cli.conftest import Run
from tests.data.dataset import write_dataset


def test_the_command_saves_what_later_commands_use_and_name(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    clips = write_dataset(tmp_path / "clips", broken=None)
    refused = command("calibrate", "--model", "shapes", "--data", clips)
    assert refused.status == 2
    assert "shapes is no folder of this package, to be written anew" in refused.err
    own = crossframe.save(crossframe.load(tiny_folder), tmp_path / "own")
    few = command("calibrate", "--model", own, "--data", clips)
    assert (few.status, few.err.count("\n")) == (1, 1)
    assert "own is not written anew after 9 clips of" in few.err
    assert "give 20 or more, or another folder with --out" in few.err
    out = tmp_path / "model"
    outcome = command("calibrate", "--model", tiny_folder, "--data", clips, "--out", out, "--target-precision", "0.5")
    assert outcome.status == 0, outcome.err
    assert "temperature" in outcome.out
    assert "after, on the same clips" in outcome.out
    assert outcome.err.splitlines()[-1].startswith("crossframe: 9 clips say little about a temperature")
    config = json.loads((out / "config.json").read_text())["training"]["calibration"]
    assert set(config["thresholds"]) == {"clapping", "jumping", "waving"}
    assert (out / "calibration.html").read_text().count("<svg") == 2
    model = crossframe.load(out)
    assert model.taught.calibration is not None
    clip = clips / "waving" / "0.mp4"
    said = command("classify", clip, "-l", "clapping", "-l", "waving", "--model", out)
    assert "temperature" in said.err
    assert "thresholds of 3 labels" in said.err
    plain, warm = (
        crossframe.Recognizer(crossframe.load(f)).classify(clip, ["clapping", "waving"]) for f in (tiny_folder, out)
    )
    ratio = (warm.scores[0] / warm.scores[1]).log() / (plain.scores[0] / plain.scores[1]).log()
    assert float(1 / ratio) == pytest.approx(config["temperature"], rel=1e-2)
    assert warm.counted is not None
    run = command("evaluate", "finetune", "--model", out, "--data", clips, "--out", tmp_path / "run")
    assert run.status == 0, run.err
    assert json.loads((tmp_path / "run/summary.json").read_text())["made_with"]["temperature"] == config["temperature"]
    assert crossframe.expand(model, 2).taught.calibration is None


def test_a_list_of_one_split_needs_no_choice_of_it(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    clips = write_dataset(tmp_path / "clips", broken=None)
    rows = [f"{path},{path.parent.name},testing" for path in sorted(clips.rglob("*.mp4"))]
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["path,label,split", *rows]))
    done = command("calibrate", "--model", tiny_folder, "--data", listed, "--out", tmp_path / "model")
    assert done.status == 0, done.err
    other = command("calibrate", "--model", tiny_folder, "--data", listed, "--out", tmp_path / "b", "--split", "val")
    assert (other.status, "has no split 'val'; it has 'test'" in other.err) == (1, True), other.err


def test_training_clips_are_refused(command: Run, tmp_path: Path) -> None:
    clips = write_dataset(tmp_path / "clips", broken=None)
    train(load_recipe("shapes", tiny=True), tmp_path / "first")
    recipe = load_recipe("finetune", ("data.hold_out=0",), tiny=True)
    train(recipe, tmp_path / "run", init=tmp_path / "first/last", data=clips)
    refused = command("calibrate", "--model", tmp_path / "run/last", "--data", clips)
    said = refused.err.splitlines()[-1]  # what training said stands above
    assert refused.status == 1
    assert "9 of the 9 clips" in said
    assert "are those that the model was trained on" in said
