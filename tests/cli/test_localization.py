"""`crossframe evaluate --timeline`: when events of long videos are told, as people measure it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossframe.data.manifest import read_manifest
from crossframe.data.parquet import read_rows
from crossframe.evaluate.card import model_card
from crossframe.recipes.load import load_recipe
from crossframe.shapes.long import render_long
from crossframe.weights import load
from tests.browser import CHROMIUM, opened
from tests.cli.conftest import Run
from tests.cli.test_classify import one_line
from tests.cli.test_evaluate import one_and_two_processes
from tests.video.clips import moving, write_clip

EVENTS = """path,start,end,label,split
a.mp4,0.5,2.0,arm wrestling,test
a.mp4,3,4.5,cleaning a pool,test
b.mp4,1,3,arm wrestling,test
gone.mp4,1,3,cleaning a pool,test
"""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of five seconds and one that is not there, with an event or two in each."""
    folder = tmp_path_factory.mktemp("long videos")
    for name, width in (("a.mp4", 48), ("b.mp4", 56)):
        write_clip(folder / name, frames=moving(125, width, 40))
    (folder / "gone.mp4").write_bytes(b"no video")
    (folder / "events.csv").write_text(EVENTS)
    return folder / "events.csv"


@pytest.fixture(scope="module")
def words(events: Path, tiny_folder: Path) -> tuple[object, ...]:
    return ("evaluate", "finetune", "--model", tiny_folder, "--data", events, "--timeline", "--window", 1)


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_it_writes_what_every_evaluation_writes(command: Run, words: tuple[object, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = command(*words, "--out", run)
    assert done.status == 0, done.err
    assert "counts as wrong: " in done.err
    assert "gone.mp4: is not a video" in done.err
    found = summary(run)
    assert (found["videos"], found["unreadable"], found["events"], found["classes"]) == (3, 1, 4, 2)
    for name in ("ap_30", "ap_50", "ap_70", "points", "mean_ap", "covered", "overlap"):
        assert 0 <= found[name] <= 1
        assert f"{name:<10} {found[name]:.1%}" in done.out
    assert "95% interval over 3 videos" in done.out
    assert (found["made_with"]["window"], found["made_with"]["stride"]) == (1.0, 0.25)
    assert load_recipe(run / "recipe.yaml").test.window == 1.0
    assert {"environment.json", "report.html"} <= {path.name for path in run.iterdir()}


def test_one_and_two_processes_tell_the_same_segments(words: tuple[object, ...], tmp_path: Path) -> None:
    alone, shared = one_and_two_processes(tmp_path, *words)
    assert summary(shared)["events"] == 4
    for name in ("summary.json", "predictions.parquet", "segments.csv"):
        assert (alone / name).read_bytes() == (shared / name).read_bytes()


def test_segments_are_those_of_timeline(command: Run, tmp_path: Path) -> None:
    listed = render_long(tmp_path / "long", "test", 2, 16.0)
    done = command("evaluate", "finetune", "--model", "shapes", "--data", listed, "--timeline", "--out", tmp_path / "a")
    assert done.status == 0, done.err
    videos = sorted((tmp_path / "long/test").iterdir())
    # the labels that have an event, and those of the list alone
    labels = [word for label in read_manifest(listed).labels for word in ("-l", label)]
    asked = ("--model", "shapes", "--truth", listed, "--precision", "float32", "--json")
    *told, how_well = [json.loads(line) for line in command("timeline", *videos, *labels, *asked).out.splitlines()]
    expected = [
        (Path(each["video"]).relative_to(listed.parent).as_posix(), one["label"], one["start"], one["end"])
        for each in told
        for one in each["segments"]
    ]
    found = read_manifest(tmp_path / "a/segments.csv", root=listed.parent)
    assert [(clip.path, clip.label, clip.start, clip.end) for clip in found.clips] == expected
    measured = summary(tmp_path / "a")
    assert {name: measured[name] for name in how_well["localization"]} == how_well["localization"]
    rows = read_rows(tmp_path / "a/predictions.parquet")
    assert any(row["correct"] and row["predicted"] == row["label"] and row["covered"] >= 0.5 for row in rows)


def test_events_are_rows_that_compare_and_report_read(
    command: Run, words: tuple[object, ...], tiny_folder: Path, tmp_path: Path
) -> None:
    for name, stride in (("one", 0.25), ("two", 0.5)):
        assert command(*words, "--stride", stride, "--out", tmp_path / name).status == 0
    rows = read_rows(tmp_path / "one/predictions.parquet")
    assert [row["path"] for row in rows] == [
        "a.mp4#t=0.5,2.0",
        "a.mp4#t=3.0,4.5",
        "b.mp4#t=1.0,3.0",
        "gone.mp4#t=1.0,3.0",
    ]
    assert "is not a video" in rows[3]["error"]
    assert all(row["correct"] == (row["overlap"] >= 0.5) for row in rows)
    assert command("compare", tmp_path / "one", tmp_path / "two").out.startswith("videos      4\n")
    page = tmp_path / "page.html"
    assert command("report", tmp_path / "one", "--out", page).status == 0
    text = page.read_text()
    assert "gone.mp4: is not a video" in text
    assert f"{summary(tmp_path / 'one')['mean_ap']:.1%}" in text
    card = str(model_card(load(tiny_folder), scores=[tmp_path / "one"]))
    assert "| long videos | events | mAP at overlaps of .3 to .7 |" in card
    both = command(*words, "--split", "test", "--split", "all", "--out", tmp_path / "both")
    assert both.status == 0, both.err
    assert summary(tmp_path / "both")["mean"]["mean_ap"] == pytest.approx(summary(tmp_path / "one")["mean_ap"])
    assert (tmp_path / "both/all/report.html").is_file()


def test_what_no_middle_of_a_window_tells_is_a_dash_everywhere(
    command: Run, events: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    brief = events.with_name("brief.csv")
    brief.write_text("path,start,end,label,split\na.mp4,1.01,1.03,arm wrestling,test\nb.mp4,2.3,2.32,golf,test\n")
    run = tmp_path / "run"
    done = command("evaluate", "finetune", "--model", tiny_folder, "--data", brief, "--timeline", "--out", run)
    assert done.status == 0, done.err
    assert f"{'points':<10} -" in done.out
    assert "nan" not in done.out
    assert summary(run)["points"] is None
    assert command("report", run, "--out", tmp_path / "page.html").status == 0
    assert "nan" not in str(model_card(load(tiny_folder), scores=[run])).split("## Scores")[1].split("##")[0]


def test_what_cannot_be_measured_is_said_in_a_line(
    command: Run, words: tuple[object, ...], events: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "run")
    assert one_line(command(*words, *out, "--views", 2), "seen once", "--views")
    assert one_line(command(*words, *out, "--probe", "reverse"), "seen once", "--probe")
    drawn = command("evaluate", "shapes", "--model", "shapes", "--timeline", *out)
    assert one_line(drawn, "drawn clips have one view")
    plain = ("evaluate", "finetune", "--model", tiny_folder, "--data", events)
    assert one_line(command(*plain, *out, "--stride", 1), "add --timeline")
    (tmp_path / "open.csv").write_text("path,label\na.mp4,arm wrestling\n")
    open_ended = command(*words[:4], "--data", tmp_path / "open.csv", "--timeline", "--root", events.parent, *out)
    assert one_line(open_ended, "a.mp4: an event of 'arm wrestling' has no end")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_page_fits_a_phone(command: Run, words: tuple[object, ...], tmp_path: Path) -> None:
    assert command(*words, "--out", tmp_path / "run").status == 0
    with opened(tmp_path / "run/report.html", tmp_path / "profile", width=360) as tab:
        assert tab.ask("document.documentElement.scrollWidth") <= 360
        assert tab.ask("document.querySelectorAll('.lane').length") == 2 * 3
    assert tab.errors == []


def test_a_list_of_events_and_what_lies_between_trains_a_model_of_timelines(command: Run, tmp_path: Path) -> None:
    """From videos whose events are known to a model that knows what nothing looks like, and its measure."""
    nothing = "nothing happens"
    assert command("shapes", "render", tmp_path / "long", "--split", "train", "--long", 24, "--videos", 2).status == 0
    events, both, run = tmp_path / "long/events.csv", tmp_path / "long/both.csv", tmp_path / "run"
    assert command("data", "between", events, both, "--label", nothing).status == 0
    assert nothing in read_manifest(both).labels
    few = ("--set", "train.epochs=1", "--set", "train.warmup_epochs=0", "--set", "train.workers=0", "--hold-out", 0)
    done = command("train", "finetune", "--init", "shapes", "--data", both, "--out", run, *few)
    assert done.status == 0, done.err
    assert nothing in load(run / "last").labels
    words = ("--split", "all", "--timeline", "--background", nothing)
    measured = command("evaluate", run, *words, "--out", tmp_path / "measured")
    assert measured.status == 0, measured.err
    assert "the model was trained on these clips: its accuracy" in measured.err
    found = summary(tmp_path / "measured")
    assert found["events"] == len(read_manifest(events))  # the stretches between are none
    assert nothing not in [row["label"] for row in found["per_label"]]
    assert found["made_with"]["background"] == [nothing]
    usual = load(run / "last").taught.clips
    assert usual is not None
    assert found["made_with"]["window"] == pytest.approx(float(np.median(usual["end"] - usual["start"])), abs=0.01)
    told = command("timeline", tmp_path / "long/train/long-000.mp4", "--model", run / "last", "--background", nothing)
    assert told.status == 0, told.err
    assert nothing not in told.out
