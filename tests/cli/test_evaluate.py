"""`crossframe evaluate` as people and torchrun use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow.parquet
import pytest

import crossframe
from crossframe.cli.evaluate import _print_scores
from crossframe.evaluate.trials import Trial
from crossframe.extras import install_command
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import load_recipe
from tests.cli.conftest import Run
from tests.data.dataset import write_dataset


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of three classes with three clips, of which one is broken: an odd number, 9."""
    return write_dataset(tmp_path_factory.mktemp("clips") / "set")


@pytest.fixture
def divided(clips: Path) -> Path:
    """The same clips as a list with two splits; the broken one is in `test2`."""
    rows = [f"{path.relative_to(clips).as_posix()},{path.parent.name}" for path in sorted(clips.rglob("*.mp4"))]
    lines = [f"{row},{'test2' if '/1' in row else 'test1'}" for row in rows]
    (clips / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    return clips / "list.csv"


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_a_broken_video_counts_as_wrong_and_is_named(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    asked = ("--views", 2, "--crops", 3, "--precision", "bfloat16", "--set", "train.workers=0")
    outcome = command(
        "evaluate", "finetune", "--model", tiny_folder, "--data", clips, "--out", tmp_path / "run", *asked
    )
    assert outcome.status == 0
    assert "counts as wrong: " in outcome.err
    assert "jumping/1.mp4: is not a video" in outcome.err
    found = summary(tmp_path / "run")
    assert (found["videos"], found["unreadable"]) == (9, 1)
    assert f"top1       {found['top1']:.1%}  (95% interval: " in outcome.out
    assert "top5" not in outcome.out  # among three classes, which is always right
    assert {"crossframe", "torch", "device", "processes"} <= json.loads(
        (tmp_path / "run/environment.json").read_text()
    ).keys()
    made_with = found["made_with"]
    assert (made_with["sampling"]["views"], made_with["crops"], made_with["precision"]) == (2, 3, "bfloat16")
    assert (made_with["recipe"], made_with["model"], made_with["template"]) == ("finetune", str(tiny_folder), "{}")
    assert load_recipe(tmp_path / "run/recipe.yaml").test.views == 2
    assert (tmp_path / "run/report.html").is_file()


def test_several_splits_have_a_mean_and_a_deviation(
    command: Run, divided: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "finetune", "--model", tiny_folder, "--data", divided, "--set", "train.workers=0")
    outcome = command(*words, "--split", "test1", "--split", "test2", "--out", tmp_path / "run")
    assert outcome.status == 0
    parts = [summary(tmp_path / "run" / name) for name in ("test1", "test2")]
    assert [(part["videos"], part["unreadable"], part["classes"]) for part in parts] == [(6, 0, 3), (3, 1, 3)]
    found = summary(tmp_path / "run")
    for name in ("top1", "top5", "mean_class"):
        values = [part[name] for part in parts]
        assert found["mean"][name] == pytest.approx(mean(values))
        assert found["deviation"][name] == pytest.approx(stdev(values))
        assert [trial[name] for trial in found["trials"]] == values
    assert [line.split()[0] for line in outcome.out.splitlines()[1:5]] == ["test1", "test2", "mean", "deviation"]
    assert f"{found['mean']['top5']:.1%}" in outcome.out
    for name in ("test1", "test2"):
        assert (tmp_path / "run" / name / "predictions.parquet").is_file()


def test_only_shares_are_printed_as_percent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    numbers = {"top1": 0.5, "median_rank": 3.7}
    rest = {
        "recordings": None,
        "top1_interval": [0.25, 0.75],
        "failures": [],
        "damaged": [],
        "videos": 4,
        "unreadable": 0,
    }
    found = numbers | rest | {"classes": 2, "made_with": {}}
    _print_scores({"": (Trial("a", "test"), found)}, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["top1       50.0%  (95% interval: 25.0% to 75.0%)", "median_rank 3.7"]
    _print_scores({"a": (Trial("a", "test"), found), "b": (Trial("b", "test"), found)}, tmp_path)
    assert [line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:3]] == [["50.0%", "3.7"]] * 2


def test_several_models_and_lists_are_told_apart(command: Run, clips: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "draw-2" / "last").parent.mkdir()
    (tmp_path / "draw-2" / "last").symlink_to(tiny_folder)
    models = ("--model", tiny_folder, "--model", tmp_path / "draw-2" / "last")
    outcome = command("evaluate", "finetune", *models, "--data", clips, "--out", tmp_path / "run")
    assert outcome.status == 0
    trials = summary(tmp_path / "run")["trials"]
    assert [trial["folder"] for trial in trials] == ["model", "draw-2"]
    assert trials[0]["top1"] == trials[1]["top1"]
    assert trials[0]["made_with"]["weights"] == trials[1]["made_with"]["weights"]


def test_labels_of_another_data_set_join_the_candidates(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("Waving\narm wrestling\nyoga\n")
    words = ("evaluate", "finetune", "--model", tiny_folder, "--data", clips)
    assert command(*words, "--labels-too", tmp_path / "other.txt", "--out", tmp_path / "run").status == 0
    found = summary(tmp_path / "run")
    assert found["classes"] == 5  # `Waving` is `waving`
    assert found["made_with"]["labels_too"] == [str(tmp_path / "other.txt")]
    said = pyarrow.parquet.read_table(tmp_path / "run/predictions.parquet")["top_labels"].to_pylist()
    assert {label for labels in said for label in labels} == {"clapping", "jumping", "waving", "arm wrestling", "yoga"}


def test_a_run_is_measured_as_it_was_trained_by_its_own_recipe(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    switches = [word for entry in ("data.template=ensemble", "data.sampling=dense") for word in ("--set", entry)]
    short = ("--set", "train.epochs=2", "--tiny", "--init", tiny_folder, "--data", clips)
    assert command("train", "finetune", *short, *switches, "--out", tmp_path / "run").status == 0
    words = ("evaluate", tmp_path / "run/recipe.yaml", "--model", tmp_path / "run/last")
    assert command(*words, "--out", tmp_path / "test").status == 0
    made_with = summary(tmp_path / "test")["made_with"]
    assert (made_with["template"], made_with["sampling"]["rule"]) == ("ensemble", "dense")
    assert Path(made_with["data"]) == clips


def test_the_authors_views_in_time_are_asked_for_and_said(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "finetune", "--model", tiny_folder, "--data", clips, "--views", 4)
    for name, more in (("ours", ()), ("theirs", ("--set", "test.random_views=true"))):
        assert command(*words, *more, "--out", tmp_path / name).status == 0
    told = {name: summary(tmp_path / name)["made_with"]["sampling"]["official"] for name in ("ours", "theirs")}
    assert told == {"ours": False, "theirs": True}
    scores = [pyarrow.parquet.read_table(tmp_path / name / "predictions.parquet")["label_score"] for name in told]
    assert scores[0].to_pylist() != scores[1].to_pylist()


def test_splits_of_drawn_clips(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    words = ("evaluate", "shapes", "--model", tiny_folder, "--videos", 4, "--out", tmp_path / "run")
    assert command(*words, "--split", "unseen", "--split", "test").status == 0
    found = summary(tmp_path / "run")
    assert [trial["made_with"]["split"] for trial in found["trials"]] == ["unseen", "test"]
    assert found["mean"].keys() >= {"top1", "action", "color"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("finetune",), "this recipe needs clips: give a manifest or a folder with --data"),
        (("finetune", "--data", "nowhere.csv"), "nowhere.csv does not exist"),
        (("finetune", "--data", "LIST", "--split", "val"), "has no split 'val'; it has 'test1', 'test2'; choose one"),
        (("finetune", "--data", "FOLDER", "--split", "val"), "has no split 'val'; it has no splits"),
        (("finetune", "--data", "LIST", "--split", "test1", "--labels-too", "no.txt"), "no.txt does not exist"),
        (("finetune", "--data", "LIST", "--videos", "3"), "--videos and --seed choose drawn clips"),
        (("finetune", "--data", "LIST", "--crops", "2"), "test.crops is 2; should be 1 or 3"),
        (("shapes", "--data", "LIST"), "draws its own clips; leave out --data"),
        (("shapes", "--views", "4"), "drawn clips have one view"),
        (("shapes", "--split", "tset"), "there is no split 'tset'"),
        (("shapes-pretrain",), "has no test clips"),
    ],
)
def test_mistakes_are_named_in_one_line(
    command: Run, divided: Path, tiny_folder: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    given = [{"LIST": str(divided), "FOLDER": str(divided.parent)}.get(word, word) for word in words]
    outcome = command("evaluate", *given, "--model", tiny_folder, "--out", tmp_path / "run")
    assert outcome.status == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_last_of_many_models_is_looked_for_before_the_first_is_measured(
    command: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    many = ("--model", tiny_folder, "--model", "runs/typo/last")
    outcome = command("evaluate", "shapes", *many, "--videos", 4, "--out", tmp_path / "run")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "'runs/typo/last' is no file, no folder" in outcome.err
    assert not (tmp_path / "run").exists()


def test_what_saving_needs_is_looked_for_before_anything_is_measured(
    command: Run, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    outcome = command("evaluate", "finetune", "--model", "no weights", "--data", clips, "--out", tmp_path / "run")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert f"Parquet files need pyarrow ({install_command('train')})" in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_linear_head_of_other_classes_is_refused(
    command: Run, clips: Path, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, text=None, prompts=None, num_classes=5)
    crossframe.save(XCLIP(config, preprocess=Preprocess.xclip(size=32)), tmp_path / "model")
    words = ("evaluate", "finetune", "--model", tmp_path / "model", "--data", clips, "--out", tmp_path / "run")
    outcome = command(*words)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "3 labels were given, and the model's linear head has 5 classes" in outcome.err


def test_a_folder_that_cannot_be_is_refused_before_anything_is_computed(command: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out, reason in (("file", "is a file, where a folder is needed"), ("file/run", "lies in a file")):
        outcome = command("evaluate", "shapes", "--model", "no weights at all", "--out", tmp_path / out)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1)
        assert f"{tmp_path / out}: {reason}" in outcome.err


def test_a_training_run_is_not_written_over(command: Run, clips: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    outcome = command("evaluate", "finetune", "--model", tiny_folder, "--data", clips, "--out", tmp_path)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "holds a training run; choose another folder" in outcome.err


def test_a_run_that_is_not_there_is_named(command: Run, tmp_path: Path) -> None:
    outcome = command("evaluate", tmp_path / "gone")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "gone does not exist; give the folder of a run, or the name of a recipe" in outcome.err


def test_one_and_two_processes_write_the_same(clips: Path, tiny_folder: Path, tmp_path: Path) -> None:
    asked = ("--model", tiny_folder, "--data", clips, "--set", "train.workers=0", "--views", "2")
    alone, shared = one_and_two_processes(tmp_path, "evaluate", "finetune", *asked)
    assert (summary(shared)["videos"], summary(shared)["unreadable"]) == (9, 1)
    for name in ("summary.json", "predictions.parquet"):
        assert (alone / name).read_bytes() == (shared / name).read_bytes()


def one_and_two_processes(folder: Path, *words: object) -> tuple[Path, Path]:
    """What a command writes to its --out by itself, and under torchrun; both have said the same."""
    programs = Path(sys.executable).parent
    torchrun = [programs / "torchrun", "--standalone", "--nproc-per-node", "2"]

    def start(name: str, *before: Path | str) -> subprocess.Popen[bytes]:
        line = [*before, programs / "crossframe", *map(str, words), "--out", folder / name]
        return subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE)

    runs = [start("alone"), start("shared", *torchrun)]
    outputs = [process.communicate(timeout=300)[0].decode() for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert outputs[0].replace("alone", "shared") == outputs[1]  # one of the two processes speaks
    return folder / "alone", folder / "shared"


def test_unknown_labels_and_clips_without_time_are_measured(
    command: Run, clips: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "known.txt").write_text("waving\nclapping\n")
    given = ["evaluate", "finetune", "--model", tiny_folder, "--data", clips, "--set", "train.workers=0"]
    asked = ["--candidates", tmp_path / "known.txt", "--background", "generic", "--probe", "shuffle,one-frame"]
    outcome = command(*given, *asked, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert "auroc" in outcome.out
    assert "shuffle" in outcome.out
    written = summary(tmp_path / "run")
    assert (written["videos"], written["open_set"]["unknown"]) == (6, 2)  # one unknown clip is broken
    assert written["probes"]["shuffle"].keys() == {"top1", "drop", "drop_interval"}
    assert "something else" in written["made_with"]["background"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Unknown clips" in page
    assert "Without time" in page
    wrong = command(*given, "--probe", "blur", "--out", tmp_path / "other")
    assert (wrong.status, wrong.err.count("\n")) == (1, 1)
    assert "there is no probe 'blur'" in wrong.err


def test_lists_of_several_data_sets_stand_in_one_file(
    command: Run, clips: Path, divided: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "lists.txt").write_text(f"{divided}\n{clips}\n# a comment\n")
    given = ["evaluate", "finetune", "--model", tiny_folder, "--set", "train.workers=0", "--split", "all"]
    outcome = command(*given, "--lists", tmp_path / "lists.txt", "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert len(summary(tmp_path / "run")["trials"]) == 2
    (tmp_path / "lists.txt").write_text("gone.csv\n")
    gone = command(*given, "--lists", tmp_path / "lists.txt", "--out", tmp_path / "other")
    assert "gone.csv does not exist" in gone.err
