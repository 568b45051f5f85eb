"""`crossframe train` as people use it: what it refuses, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crossframe.extras import install_command
from crossframe.files import written_alone
from crossframe.recipes.load import RECIPE, dump_recipe, load_recipe
from crossframe.train.checkpoint import RunFolder
from crossframe.train.source import read_clip_files
from crossframe.weights import load
from tests.cli.conftest import Run
from tests.data.dataset import write_dataset, write_numbered


def write_distinct(folder: Path, per_class: int = 2) -> Path:
    """A data set whose files differ, each in its rate, as people's do."""
    for number, path in enumerate(sorted(write_dataset(folder, per_class, broken=None).rglob("*.mp4"))):
        write_numbered(path, rate=5 + number)
    return folder


def write_rows(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["path,label,split", *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("shapes-order",), "this run was started with recipe 'finetune', not 'shapes-order'; name that one to go on"),
        (
            ("finetune", "--set", "train.epochs=2", "--set", "train.warmup_epochs=1"),
            "started with train.epochs=3, not 2; leave that out to go on",
        ),
        (("finetune", "--tiny"), "started with train.epochs=3, not 4; leave that out"),
        (("finetune", "--init", "other"), 'started with init="shapes", not "other"; leave that out'),
        (("finetune", "--data", "b"), 'started with data.source="clips", not "b"; leave that out'),
        (("finetune", "--set", "train.epochz=9"), "'train.epochz' is unknown"),
    ],
)
def test_a_run_goes_on_as_it_was_started_or_not_at_all(
    arguments: tuple[str, ...], complaint: str, command: Run, tmp_path: Path
) -> None:
    started = load_recipe("finetune", ["init=shapes", "data.source=clips", "train.epochs=3"], tiny=True)
    (tmp_path / RECIPE).write_text(dump_recipe(started))
    outcome = command("train", *arguments, "--out", tmp_path, "--resume")
    assert (outcome.status, outcome.out) == (1, "")
    assert complaint in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--tiny", "--set", "train.epochs=3", "--init", "shapes", "--data", "clips"),
        ("--set", "train.precision=auto"),  # which the run has chosen
    ],
)
def test_what_is_left_out_or_the_same_is_no_reason_to_refuse(
    more: tuple[str, ...], command: Run, tmp_path: Path
) -> None:
    started = load_recipe("finetune", ["init=shapes", "data.source=clips", "train.epochs=3"], tiny=True)
    (tmp_path / RECIPE).write_text(dump_recipe(started))
    outcome = command("train", "finetune", *more, "--out", tmp_path, "--resume")
    assert "has no checkpoint 'last' to go on from" in outcome.err


def test_a_training_says_what_it_did_not_test_and_could_not_read(command: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "clips", 2)
    one_epoch = ("--epochs", 1, "--set", "train.warmup_epochs=0", "--hold-out", 0)
    outcome = command(
        "train", "finetune", "--tiny", *one_epoch, "--init", "shapes", "--data", folder, "--out", tmp_path / "run"
    )
    assert outcome.status == 0, outcome.err
    first, second, last = outcome.out.splitlines()
    assert first.endswith("; not tested, for no clips are held back")
    assert second == "1 of 6 times a clip could not be read; see crossframe data verify"
    assert last == str(tmp_path / "run" / "last")


def test_a_finished_run_is_extended_and_told_what_that_means(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    folder, out = write_dataset(tmp_path / "clips", 2), tmp_path / "run"
    words = ("train", "finetune", "--tiny", "--init", tiny_folder, "--data", folder, "--hold-out", 0, "--out", out)
    outcome = command(*words, "--epochs", 1)
    assert outcome.status == 0, outcome.err
    assert "the warm-up shrinks with train.epochs, from 1 epochs to 0.25" in outcome.err
    assert outcome.out.startswith("2 steps")
    outcome = command("train", "--out", out, "--epochs", 3, "--resume")  # the run knows its recipe
    assert outcome.status == 0, outcome.err
    assert "goes on to 3 epochs instead of 1: the learning rates from here on are those of a run of 3" in outcome.err
    assert outcome.out.startswith("6 steps")
    assert load_recipe(out / RECIPE).train.epochs == load_recipe(out / "last" / RECIPE).train.epochs == 3
    assert command(*words, "--resume", "--epochs", 3).out.startswith("6 steps")  # nothing is left to do


def test_a_list_that_changed_since_the_run_began_is_told(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    folder, out = write_dataset(tmp_path / "clips", 2), tmp_path / "run"
    words = ("train", "finetune", "--tiny", "--init", tiny_folder, "--data", folder, "--hold-out", 0, "--out", out)
    assert command(*words, "--epochs", 1).status == 0
    line = "the lists have other clips or labels than when the run began; it goes on with these"
    same = command("train", "--out", out, "--epochs", 2, "--resume")
    assert (same.status, line in same.err) == (0, False)
    next(folder.rglob("*.mp4")).unlink()
    other = command("train", "--out", out, "--epochs", 3, "--resume")
    assert (other.status, line in other.err) == (0, True)


def test_clips_that_were_added_to_a_list_count_as_learned_when_the_run_goes_on(
    command: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    folder, out, clips = write_distinct(tmp_path / "clips"), tmp_path / "run", tmp_path / "clips.csv"
    rows = [f"{path},{path.parent.name},train" for path in sorted(folder.rglob("*.mp4"))]
    began, added = rows[::2], rows[1::2]
    write_rows(clips, began)
    words = ("train", "finetune", "--tiny", "--init", tiny_folder, "--data", clips, "--out", out)
    assert command(*words, "--epochs", 1).status == 0
    first = load(out / "last").taught
    write_rows(clips, rows)
    assert command("train", "--resume", "--out", out, "--epochs", 2).status == 0
    taught = load(out / "last").taught
    assert first.clips is not None
    assert taught.clips is not None
    assert (len(first.clips), len(taught.clips)) == (len(began), len(rows))
    assert (taught.labels, taught.template) == (first.labels, first.template)
    new = write_rows(tmp_path / "new.csv", [row.replace(",train", ",test") for row in added])
    measured = command("evaluate", out, "--data", new, "--split", "test")
    assert measured.status == 0, measured.err
    assert "the model was trained on these clips: its accuracy" in measured.err


def test_clips_that_were_learned_are_not_tested_on_when_a_list_spells_them_differently(
    command: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    folder, out, clips = write_distinct(tmp_path / "clips", 4), tmp_path / "run", tmp_path / "clips.csv"
    paths = sorted(folder.rglob("*.mp4"))
    write_rows(clips, [f"{path.relative_to(tmp_path)},{path.parent.name}," for path in paths])
    words = ("train", "finetune", "--tiny", "--init", tiny_folder, "--data", clips, "--out", out, "--hold-out", 0.3)
    assert command(*words, "--epochs", 1).status == 0
    began = load(out / "last").taught.clips
    write_rows(clips, [f"{path},{path.parent.name}," for path in paths])
    drawn = read_clip_files(load_recipe(str(out / RECIPE)))
    assert drawn is not None
    learned = sum(drawn.learned(began))
    assert learned
    for epochs in (2, 3):  # it is told, and done, each time
        outcome = command("train", "--resume", "--out", out, "--epochs", epochs)
        assert outcome.status == 0, outcome.err
        line = f"{learned} of 3 clips to test with had been learned before the lists changed, and are left out"
        assert line in outcome.err


def test_two_processes_do_not_train_into_one_folder(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    folder, out = write_dataset(tmp_path / "clips", 2), tmp_path / "run"
    words = ("train", "finetune", "--tiny", "--init", tiny_folder, "--data", folder, "--hold-out", 0, "--out", out)
    line = f"crossframe: {out}: another process writes to it; wait for it, or give --out another folder\n"
    with written_alone(out):
        second = command(*words, "--epochs", 1)
        assert (second.status, second.err.count(line), (out / "last").exists()) == (1, 1, False)
    assert command(*words, "--epochs", 1).status == 0
    with written_alone(out):
        second = command("train", "--resume", "--out", out, "--epochs", 2)
        assert (second.status, second.err.count(line)) == (1, 1)
        with RunFolder(out, writes=False).held():  # another process of the same run
            pass
    assert command("train", "--resume", "--out", out, "--epochs", 2).status == 0


def test_a_folder_that_cannot_be_is_refused_before_weights_are_looked_for(command: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = ("--tiny", "--init", "no weights at all", "--data", write_dataset(tmp_path / "clips", 1))
    for out, reason in (("file", "is a file, where a folder is needed"), ("file/run", "lies in a file")):
        outcome = command("train", "finetune", *given, "--out", tmp_path / out)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1)
        assert f"{tmp_path / out}: {reason}" in outcome.err


def test_an_installation_without_the_extra_says_how_to_add_it() -> None:
    program = "import sys; sys.modules['yaml'] = None; from crossframe.cli import main; main(['recipes'])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = f"crossframe: yaml is not installed; this brings what the command needs: {install_command('train')}\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", said)
