"""What `suggest` and `timeline` write, read by the tools themselves, and what these write, read by us.

FiftyOne and Label Studio have a hundred requirements each, so they are asked in a Python of their own, which
`FIFTYONE_PYTHON` or `LABEL_STUDIO_PYTHON` names: one with `pip install fiftyone`, one with `label-studio-sdk`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crossframe.archive.hits import Hit
from crossframe.archive.suggested import Suggestion, write_suggestions
from crossframe.data.manifest import read_manifest
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

LABELS = ["arm wrestling", 'a <red> & "blue" square']

# Reads the data set, labels the first clip by hand, and writes a list; prints what it has found.
IN_FIFTYONE = """
import sys, fiftyone as fo
data = fo.Dataset.from_json(sys.argv[1])
data.compute_metadata()
parts = data.exists("part").to_clips("part")
first = data.first()
first["ground_truth"] = fo.Classification(label=sys.argv[3])
first.save()
data.exists("ground_truth").export(
    labels_path=sys.argv[2], dataset_type=fo.types.CSVDataset, export_media=False, abs_paths=True,
    fields={"filepath": "path", "ground_truth.label": "label", "start": "start", "end": "end"},
)
print("found", data.values("guess.label"), data.values("doubt"), data.default_classes, parts.values("support"))
"""

# Checks the setup and each prediction, and that one whose choice is not in the setup is refused.
IN_LABEL_STUDIO = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
setup = LabelInterface(open(sys.argv[1]).read())
setup.validate()
tasks = json.load(open(sys.argv[2]))
for task in tasks:
    assert setup.validate_task({"data": task["data"]})
    for prediction in task["predictions"]:
        assert setup.validate_prediction(prediction, return_errors=True) == []
        kind = prediction["result"][0]["type"]
        prediction["result"][0]["value"][kind] = ["another"]
        assert setup.validate_prediction(prediction, return_errors=True)
print("found", len(tasks))
"""


def asked(tool: str, module: str, code: str, *words: object) -> str:
    """What a script prints where the tool is; the test is skipped where it is not."""
    python = os.environ.get(f"{tool}_PYTHON", sys.executable)
    if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode:
        pytest.skip(f"{module} is not there: pip install it into a Python and name that by {tool}_PYTHON")
    environment = {**os.environ, "FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_DATABASE_VALIDATION": "false"}
    environment.pop("PYTHONPATH", None)
    told = subprocess.run([python, "-c", code, *map(str, words)], capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()[-1]


@pytest.fixture
def suggestions(tmp_path: Path) -> list[Suggestion]:
    """A whole clip, and parts of two: with a label that they have, and without."""
    times = [(None, None), (0.2, 0.5), (None, 0.3)]
    found: list[Suggestion] = []
    for number, (start, end) in enumerate(times):
        path = write_clip(tmp_path / f"{number}.mp4", frames=moving(20, 48, 40))
        hit = Hit(path.name, str(path), start, end, similarity=0.3)
        found.append(Suggestion(hit, LABELS[number % 2], 0.75, 0.5, LABELS[0] if number == 2 else None))
    return found


def test_a_data_set_of_fiftyone_names_the_kinds_of_its_fields(suggestions: list[Suggestion], tmp_path: Path) -> None:
    write_suggestions(tmp_path / "next.fiftyone.json", suggestions, LABELS, "a" * 64)
    data = json.loads((tmp_path / "next.fiftyone.json").read_text())
    assert (data["name"], data["media_type"], data["default_classes"]) == ("next", "video", LABELS)
    used = {name for sample in data["samples"] for name in sample} - {"filepath"}
    assert used == data["sample_fields"].keys()  # FiftyOne refuses others
    whole, middle, early = data["samples"]
    guess = {"_cls": "Classification", "label": LABELS[0], "confidence": 0.75}
    assert whole == {"filepath": str(tmp_path / "0.mp4"), "guess": guess, "doubt": 0.5}
    assert (middle["start"], middle["end"], middle["part"]["_cls"]) == (0.2, 0.5, "TemporalDetection")
    assert (middle["part"]["support"], early["part"]["support"]) == ([6, 13], [1, 8])  # of 25 frames a second
    assert early["ground_truth"]["label"] == LABELS[0]
    elsewhere = [Suggestion(Hit("a.mp4", "s3://b/a.mp4", 0.0, 1.0, 0.3), LABELS[0], 0.5, 0.5)]
    write_suggestions(tmp_path / "next.fiftyone.json", elsewhere, LABELS, "a" * 64)
    assert "part" not in json.loads((tmp_path / "next.fiftyone.json").read_text())["samples"][0]


@pytest.mark.slow
def test_fiftyone_reads_what_is_suggested_and_its_list_is_ours(suggestions: list[Suggestion], tmp_path: Path) -> None:
    write_suggestions(tmp_path / "next.fiftyone.json", suggestions, LABELS, "a" * 64)
    words = (tmp_path / "next.fiftyone.json", tmp_path / "labeled.csv", LABELS[1])
    told = asked("FIFTYONE", "fiftyone", IN_FIFTYONE, *words)
    guesses = [each.guess for each in suggestions]
    assert told == f"found {guesses} {[0.5] * 3} {LABELS} {[[6, 13], [1, 8]]}"
    clips = read_manifest(tmp_path / "labeled.csv").clips
    assert [(Path(clip.path).name, clip.label, clip.start, clip.end) for clip in clips] == [
        ("0.mp4", LABELS[1], None, None),
        ("2.mp4", LABELS[0], None, 0.3),
    ]


@pytest.mark.slow
def test_label_studio_accepts_the_setup_and_the_tasks(suggestions: list[Suggestion], tmp_path: Path) -> None:
    write_suggestions(tmp_path / "next.json", suggestions, LABELS, "a" * 64)
    words = (tmp_path / "next.xml", tmp_path / "next.json")
    assert asked("LABEL_STUDIO", "label_studio_sdk", IN_LABEL_STUDIO, *words) == "found 3"


@pytest.mark.slow
def test_label_studio_accepts_timelines(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=moving(40, 48, 40))
    words = [
        "-l",
        LABELS[0],
        "-l",
        "another one",
        "--model",
        tiny_folder,
        "--window",
        1,
        "--stride",
        0.5,
        "--threshold",
        0,
    ]
    assert command("timeline", path, *words, "--out", tmp_path / "a-label-studio.json").status == 0
    words = [tmp_path / "a-label-studio.xml", tmp_path / "a-label-studio.json"]
    assert asked("LABEL_STUDIO", "label_studio_sdk", IN_LABEL_STUDIO, *words) == "found 1"
