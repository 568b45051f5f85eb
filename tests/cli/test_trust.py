"""What commands show and allow where files, names or weights are not to be trusted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.cli.shared import limit_entries
from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import FileData
from crossframe.text.labels import escaped
from crossframe.video import given
from crossframe.video.given import Limits
from tests.cli.conftest import Run
from tests.data.dataset import write_dataset
from tests.video.clips import moving, write_clip

LABELS = ["-l", "arm wrestling", "-l", "cleaning a pool"]
STEERING = "\x1b[2J\x1b[31m\u202e"


@pytest.fixture(autouse=True)
def _usual_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "_limits", Limits())  # put back afterwards


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=moving(12, 48, 40))


@pytest.fixture
def diverged(tiny_folder: Path, tmp_path: Path) -> Path:
    """Weights that are finite and make no finite scores."""
    model = crossframe.load(tiny_folder)
    torch.nn.init.constant_(model.logit_scale, 1000.0)
    crossframe.save(model, tmp_path / "diverged")
    return tmp_path / "diverged"


def strict(text: str) -> dict[str, object]:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_names_and_labels_cannot_steer_a_terminal(command: Run, tiny_folder: Path, clip: Path, tmp_path: Path) -> None:
    odd = clip.rename(tmp_path / f"a{STEERING}.mp4")
    for bad in (tmp_path / f"no{STEERING}.mp4", tmp_path / f"text{STEERING}.mp4"):
        if "text" in bad.name:
            bad.write_text("no video")
        outcome = command("classify", odd, bad, *LABELS, "-l", f"x{STEERING}", "--model", tiny_folder)
        assert outcome.status == 1
        for shown in (outcome.out, outcome.err):
            assert "\x1b" not in shown
            assert "\u202e" not in shown
            assert r"\x1b[2J\x1b[31m\u202e.mp4" in shown
        assert r"x\x1b[2J" in outcome.out
    exact = command("classify", odd, *LABELS, "--model", tiny_folder, "--json")
    assert strict(exact.out)["video"] == str(odd)  # programs get the name itself


def test_broken_files_are_listed_without_their_tricks(command: Run, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", 1, broken=None)
    (folder / "waving" / f"b{STEERING}.mp4").write_text("no video")
    outcome = command("data", "verify", folder)
    assert outcome.status == 1
    assert "\x1b" not in outcome.out + outcome.err
    assert r"b\x1b[2J\x1b[31m\u202e.mp4: " in outcome.out


@pytest.mark.parametrize(
    ("text", "shown"), [("plain é 漢 👩‍🚀", "plain é 漢 👩‍🚀"), ("a\nb\tc", r"a\nb\tc"), ("\x9b1m", r"\x9b1m")]
)
def test_what_steers_is_spelled_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_scores_that_are_no_numbers_end_with_1_and_are_never_written(
    command: Run, diverged: Path, clip: Path, tmp_path: Path
) -> None:
    outcome = command("classify", clip, *LABELS, "--model", diverged, "--json", "--precision", "float32")
    assert outcome.status == 1
    assert "the model's scores are not numbers" in outcome.err
    assert "not numbers" in str(strict(outcome.out)["error"])
    outcome = command("classify", clip, *LABELS, "--model", diverged, "--out", tmp_path / "out.jsonl")
    assert outcome.status == 1
    assert "not numbers" in str(strict((tmp_path / "out.jsonl").read_text())["error"])


def test_an_evaluation_of_weights_that_diverged_ends_with_1(command: Run, diverged: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", 1, broken=None)
    out = tmp_path / "out"
    given = ["--model", diverged, "--data", folder, "--out", out, "--set", "train.workers=0"]
    outcome = command("evaluate", "finetune", *given)
    assert outcome.status == 1
    summary = strict((out / "summary.json").read_text())
    assert (summary["videos"], summary["unreadable"]) == (3, 3)


def test_the_budget_of_a_file_is_an_option_everywhere(
    command: Run, tiny_folder: Path, clip: Path, tmp_path: Path
) -> None:
    told = "claims 12 frames, and 5 are the most"
    budget = ("--most-frames", 5)
    assert told in command("classify", clip, *LABELS, "--model", tiny_folder, *budget).err
    other = write_clip(tmp_path / "other.mp4", frames=moving(4, 48, 40))
    several = command("classify", clip, other, *LABELS, "--model", tiny_folder, *budget, "--json")
    assert (told in several.err, several.status) == (True, 1)  # in a process of its own
    assert [strict(line)["video"] for line in several.out.splitlines() if '"error"' not in line] == [str(other)]
    (tmp_path / "list.csv").write_text("path,label\nclip.mp4,run\nother.mp4,jump\n")
    assert told in command("data", "verify", tmp_path / "list.csv", *budget).out
    assert told in command("data", "prepare", tmp_path / "list.csv", tmp_path / "prepared", *budget).out
    given = ["--model", tiny_folder, "--data", tmp_path / "list.csv", "--out", tmp_path / "out", *budget]
    assert told in command("evaluate", "finetune", *given).err
    small = command("classify", clip, *LABELS, "--model", tiny_folder, "--timeout", 30, "--memory", 64)
    assert small.status == 0


def test_budgets_are_entries_of_recipes() -> None:
    entries = limit_entries(20.0, 64, 1000)
    recipe = load_recipe("finetune", entries)
    assert isinstance(recipe.data, FileData)
    assert recipe.data.limits == Limits(20.0, 64 << 20, 1000)
    assert limit_entries(None, None, None) == []
    with pytest.raises(ValueError, match="use numbers above 0"):
        load_recipe("finetune", ["data.limits.seconds=0"])


def test_frames_by_the_clock_and_another_stream(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    times = [*(10 * t for t in range(10)), *(100 + t for t in range(10))]
    path = write_clip(tmp_path / "uneven.mp4", frames=moving(20, 48, 40), rate=10, times=times)
    clock = crossframe.read_video(path, 4, sampling="time").indices.tolist()
    assert clock[-1] < 10
    for sampling, indices in (("sparse", [2, 7, 12, 17]), ("time", clock)):
        given = ["--model", tiny_folder, "--json", "--sampling", sampling]
        found = strict(command("classify", path, *LABELS, *given).out)
        assert found["frames"]["indices"] == indices  # pyright: ignore[reportIndexIssue]
    outcome = command("classify", path, *LABELS, "--model", tiny_folder, "--stream", 1)
    assert "has no video stream 1" in outcome.err


def test_a_list_names_what_it_has(command: Run, tmp_path: Path) -> None:
    """Control characters in labels of a list are escaped in the table of counts, and kept in the list."""
    write_dataset(tmp_path / "set", 1, broken=None)
    with (tmp_path / "set" / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), ("waving/0.mp4", f"w{STEERING}"), ("jumping/0.mp4", "jump")])
    outcome = command("data", "hold-out", tmp_path / "set" / "list.csv", tmp_path / "held.csv", "--fraction", 0.5)
    assert "\x1b" not in outcome.out + outcome.err
