"""`crossframe suggest`, and answers read back."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from crossframe.data.manifest import read_manifest
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

LABELS = ["arm wrestling", "a <red> square"]
WORDS = [word for label in LABELS for word in ("-l", label)]


@pytest.fixture
def indexed(command: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        write_clip(tmp_path / f"{number}.mp4", frames=moving(4 + 2 * number, 48, 40))
    clips = [f"{number}.mp4" for number in range(6)]
    assert command("index", *clips, "--out", "index", "--model", tiny_folder, "--summary").status == 0
    return tmp_path


def test_tasks_are_labeled_and_read_back_and_not_asked_about_again(command: Run, indexed: Path) -> None:
    outcome = command("suggest", "index", *WORDS, "--count", 3, "--out", "next.json")
    assert (outcome.status, outcome.err) == (0, "next.json\n")
    assert outcome.out.count("\n") == 3
    tasks = json.loads(Path("next.json").read_text())
    assert len({task["data"]["video"] for task in tasks}) == 3
    (result,) = tasks[0]["predictions"][0]["result"]
    assert result["value"]["choices"][0] in LABELS
    setup = ElementTree.parse("next.xml")
    assert [choice.get("value") for choice in setup.iter("Choice")] == LABELS
    choices = setup.find("Choices")
    assert choices is not None
    assert (choices.get("name"), choices.get("toName")) == (result["from_name"], result["to_name"])

    old = {"updated_at": "2026-01-01", "result": [{"type": "choices", "value": {"choices": ["arm wrestling"]}}]}
    new = {"updated_at": "2026-01-02", "result": [{"type": "choices", "value": {"choices": [LABELS[1]]}}]}
    skipped = {"updated_at": "2026-01-03", "was_cancelled": True, "result": []}
    answers = [tasks[0] | {"annotations": [new, old, skipped]}, tasks[1] | {"annotations": [old]}]
    answers.append(tasks[2] | {"annotations": [skipped]})
    Path("export.json").write_text(json.dumps(answers))
    outcome = command("data", "import", "label-studio", "export.json", "labeled.csv")
    assert outcome.status == 0
    assert "without an answer: 1 task" in outcome.out + outcome.err
    with open("labeled.csv", newline="") as file:
        rows = {row["path"]: row["label"] for row in csv.DictReader(file)}
    asked = [Path(task["data"]["video"]).name for task in tasks]
    assert rows == {asked[0]: LABELS[1], asked[1]: LABELS[0]}

    outcome = command("suggest", "index", "--labeled", "labeled.csv", "--count", 9, "--out", "then.csv")
    assert outcome.status == 0
    with open("then.csv", newline="") as file:
        then = [row["path"] for row in csv.DictReader(file)]
    assert sorted(then) == sorted({f"{number}.mp4" for number in range(6)} - set(asked[:2]))


def test_nothing_to_choose_is_said(command: Run, indexed: Path) -> None:
    Path("all.csv").write_text("path,label\n" + "".join(f"{number}.mp4,arm wrestling\n" for number in range(6)))
    outcome = command("suggest", "index", *WORDS, "--labeled", "all.csv", "--out", "next.csv")
    assert (outcome.status, outcome.out) == (0, "")
    assert "no clip is left to label (--errors looks at labels): 6 clips, 6 of them labeled" in outcome.err


@pytest.mark.parametrize("words", [["suggest", "index", *WORDS], ["search", "index", LABELS[0]]])
def test_a_list_that_people_may_have_corrected_is_not_written_over(
    words: list[str], command: Run, indexed: Path
) -> None:
    Path("mine.csv").write_text("path,label\n0.mp4,golf\n")
    outcome = command(*words, "--out", "mine.csv")
    assert (outcome.status, outcome.err.count("\n")) in ((1, 1), (2, 1))
    assert "mine.csv is there already, and may have been corrected by hand; give --out another name" in outcome.err
    assert Path("mine.csv").read_text() == "path,label\n0.mp4,golf\n"


@pytest.mark.parametrize("by", ["margin", "diversity"])
def test_a_list_has_guesses_for_labels(by: str, command: Run, indexed: Path) -> None:
    outcome = command("suggest", "index", *WORDS, "--count", 2, "--by", by, "--out", "next.csv")
    assert outcome.status == 0
    with open("next.csv", newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} <= set(LABELS)


def test_labels_that_the_model_contradicts_are_shown(command: Run, indexed: Path) -> None:
    outcome = command("search", "index", LABELS[0], "--json", "--top", 6)
    scores = {hit["video"]: hit["similarity"] for hit in map(json.loads, outcome.out.splitlines())}
    outcome = command("search", "index", LABELS[1], "--json", "--top", 6)
    other = {hit["video"]: hit["similarity"] for hit in map(json.loads, outcome.out.splitlines())}
    right = {name: LABELS[scores[name] < other[name]] for name in scores}
    wrong = max(scores, key=lambda name: abs(scores[name] - other[name]))
    given = right | {wrong: LABELS[right[wrong] == LABELS[0]]}
    if set(given.values()) != set(LABELS):
        given["5.mp4" if wrong != "5.mp4" else "4.mp4"] = LABELS[given[wrong] == LABELS[0]]
    Path("given.csv").write_text("path,label\n" + "".join(f"{n},{label}\n" for n, label in given.items()))
    outcome = command("suggest", "index", "--labeled", "given.csv", "--errors", "--count", 1, "--out", "wrong.csv")
    assert outcome.status == 0
    assert f"  {wrong}  {given[wrong]} -> {right[wrong]}" in outcome.out


def ranged(data: dict[str, object], *ranges: tuple[int, int, str], kind: str = "timelinelabels") -> dict[str, object]:
    """A task with an answer of ranges."""
    results = [
        {"type": kind, "value": {"ranges": [{"start": first, "end": last}], kind: [label]}, "id": f"{first}"}
        for first, last, label in ranges
    ]
    return {"data": data, "annotations": [{"updated_at": "2026-01-01", "was_cancelled": False, "result": results}]}


def test_ranges_on_the_timeline_are_rows_with_their_times(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "a.mp4")
    both = ranged({"video": "a.mp4", "framerate": "25"}, (26, 50, "golf"), (26, 50, "a cat"), (1, 1, "golf"))
    late = ranged({"video": "/data/x", "source": "a.mp4", "framerate": 10, "begins": 2}, (15, 30, "x"), (1, 9, "y"))
    boxes = ranged({"video": "a.mp4"}, (1, 2, "x"), kind="videorectangle")
    Path("export.json").write_text(json.dumps([both, late, boxes, {"data": {"video": "a.mp4"}, "annotations": []}]))
    outcome = command("data", "import", "label-studio", "export.json", "events.csv")
    assert outcome.status == 0, outcome.err
    assert "without an answer: 1 task\n" in outcome.out + outcome.err
    assert "left out: 1 task with answers of the kinds videorectangle, and choices" in outcome.out + outcome.err
    found = [(clip.label, clip.start, clip.end) for clip in read_manifest("events.csv", events=True).clips]
    assert found == [("golf", 0.0, 0.04), ("golf|a cat", 1.0, 2.0), ("x", 0.0, 1.0)]


def test_a_setup_that_may_have_been_changed_is_not_written_over(command: Run, indexed: Path) -> None:
    Path("next.xml").write_text("<View/>")
    outcome = command("suggest", "index", *WORDS, "--out", "next.json")
    assert "next.xml is there already" in outcome.err
    assert (Path("next.xml").read_text(), Path("next.json").exists()) == ("<View/>", False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data", "import", "label-studio", "boxes.json", "out.csv"], "videorectangle, and choices and timelinelabels"),
        (
            ["data", "import", "label-studio", "rate.json", "out.csv"],
            "task 0: its answers count frames, and 'framerate'",
        ),
        (
            ["suggest", "index", *WORDS, "--out", "next.txt"],
            "end in .csv, .parquet, .json or fiftyone.json",
        ),
        (["suggest", "index", *WORDS, "--errors", "--out", "next.csv"], "give a list with --labeled"),
        (["suggest", "index", "--out", "next.csv"], "label"),
        (["suggest", "nothing", *WORDS, "--out", "next.csv"], "is no index"),
        (["data", "import", "label-studio", "mini.json", "out.csv"], "not JSON-MIN"),
        (["data", "import", "label-studio", "empty.json", "out.csv"], "not one has an answer"),
    ],
)
def test_mistakes_are_told_in_one_line(words: list[str], says: str, command: Run, indexed: Path) -> None:
    Path("mini.json").write_text('[{"video": "a.mp4", "choice": "x"}]')
    Path("boxes.json").write_text(json.dumps([ranged({"video": "0.mp4"}, (1, 2, "x"), kind="videorectangle")]))
    Path("rate.json").write_text(json.dumps([ranged({"video": "0.mp4"}, (1, 2, "x"))]))
    Path("empty.json").write_text('[{"data": {"video": "a.mp4"}, "annotations": []}]')
    outcome = command(*words)
    assert outcome.status in (1, 2)
    assert outcome.err.count("\n") == 1
    assert says in outcome.err
