"""Files about timelines: what is in them, and that others read them."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from crossframe.data.importers import import_dataset
from crossframe.data.manifest import read_manifest, write_manifest
from crossframe.text.labels import LabelSet
from crossframe.timeline.segments import Segment
from crossframe.timeline.timeline import Strip, Timeline
from crossframe.timeline.windows import Grid, read_windows
from crossframe.timeline.writers import check_name, write, write_list
from crossframe.video.decode import Frames, read_video
from crossframe.video.given import Video
from tests.browser import CHROMIUM, opened
from tests.timeline.test_segments import LABELS, seen_of, window
from tests.video.clips import moving, with_sound, write_clip


def timeline_of(video: str = "a.mp4") -> Timeline:
    found = Timeline.of(seen_of([(0, 5.0, 12.0), (1, 20.0, 24.0)]), LabelSet.of(LABELS), model="tiny", window=2.0)
    found.track.video = video
    return found


def test_the_list_is_one_of_clips(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    path = write_clip(tmp_path / "clips" / "a b.mp4")
    write(tmp_path / "list.csv", [timeline_of(str(path))])
    with (tmp_path / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "start", "end", "label", "score"]
    manifest = read_manifest(tmp_path / "list.csv")
    assert manifest.labels == ("sitting", "walking")
    clips = [(clip.path, clip.label, clip.start, clip.end) for clip in manifest.clips]
    assert clips == [("clips/a b.mp4", row["label"], float(row["start"]), float(row["end"])) for row in rows]
    assert manifest.locate(manifest.clips[0]) == path


def test_the_list_keeps_milliseconds_hours_into_a_video(tmp_path: Path) -> None:
    late = Segment("walking", 12345.678, 12346.001, 0.5)
    write_list(tmp_path / "list.csv", [("a.mp4", [late, Segment("sitting", 5, 7, 1)])])
    assert (tmp_path / "list.csv").read_text().splitlines()[1:] == [
        "a.mp4,12345.678,12346.001,walking,0.5000",
        "a.mp4,5,7,sitting,1.0000",
    ]


def test_json_has_segments_and_the_score_of_each_window(tmp_path: Path) -> None:
    write(tmp_path / "all.json", [timeline_of()])
    (found,) = json.loads((tmp_path / "all.json").read_text())
    assert [each["label"] for each in found["segments"]] == ["walking", "sitting"]
    assert found["labels"] == list(LABELS)
    assert len(found["windows"]) == 117
    assert found["windows"][1]["start"] == 0.5
    assert sum(found["windows"][1]["scores"]) == pytest.approx(1, abs=1e-4)
    assert found["model"] == "tiny"
    assert "windows" not in timeline_of().to_dict()


def test_subtitles_have_the_times_of_segments(tmp_path: Path) -> None:
    timeline = timeline_of()
    write(tmp_path / "a.srt", [timeline])
    write(tmp_path / "a.vtt", [timeline])
    blocks = (tmp_path / "a.srt").read_text().split("\n\n")
    assert blocks[0].splitlines()[0] == "1"
    assert blocks[0].splitlines()[2] == "walking"
    start, end = blocks[0].splitlines()[1].split(" --> ")
    assert start.startswith("00:00:0")
    assert "," in start
    assert len(blocks) == 2
    lines = (tmp_path / "a.vtt").read_text().splitlines()
    assert lines[0] == "WEBVTT"
    assert f"{start} --> {end}".replace(",", ".") in lines


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_players_count_from_the_sound_that_comes_first(tmp_path: Path, suffix: str) -> None:
    plain = write_clip(tmp_path / "plain.mp4", frames=50)
    late = with_sound(plain, tmp_path / f"late{suffix}", 4.0)
    at_once = with_sound(plain, tmp_path / f"at-once{suffix}", 0.0, 1000.0 if suffix == ".ts" else 0.0)
    assert read_video(plain).begins == 0.0
    assert read_video(at_once).begins == pytest.approx(0.0, abs=0.05)
    assert read_video(late).begins == pytest.approx(4.0, abs=0.05)
    assert read_video(Video(late, 0.5, 1.5)).begins == read_video(late).begins
    clips = list(read_windows(late, Grid(1.0, 0.5), 4))
    assert {clip.begins for clip in clips if isinstance(clip, Frames)} == {read_video(late).begins}


def test_times_of_players_are_later_and_those_of_lists_are_not(tmp_path: Path) -> None:
    usual, late = timeline_of(), replace(timeline_of(), begins=4.011)
    start = usual.segments[0].start
    for name in ("a.srt", "a.vtt", "a.csv", "a.html", "a.json"):
        write(tmp_path / name, [late])
    shown = f"00:00:{start + 4.011:06.3f}"
    assert f"{shown} --> ".replace(".", ",") in (tmp_path / "a.srt").read_text()
    assert f"{shown} --> " in (tmp_path / "a.vtt").read_text()
    assert f"a.mp4,{start:.12g}," in (tmp_path / "a.csv").read_text()
    assert 'data-before="4.011"' in (tmp_path / "a.html").read_text()
    (found,) = json.loads((tmp_path / "a.json").read_text())
    assert (found["begins"], found["segments"][0]["start"]) == (4.011, start)
    assert "begins" not in usual.to_dict()
    windows = seen_of([(0, 5.0, 12.0)])
    told = Timeline.of(
        [replace(each, frames=replace(each.frames, begins=4.0)) for each in windows], LabelSet.of(LABELS)
    )
    assert told.begins == 4.0


def exported(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks as Label Studio exports them once somebody has submitted the predictions as they are."""
    return [
        {
            "id": number,
            "annotations": [
                {
                    "id": 10 + number,
                    "completed_by": 1,
                    "result": [
                        {key: value for key, value in result.items() if key != "score"} | {"origin": "prediction"}
                        for result in task["predictions"][0]["result"]
                    ],
                    "was_cancelled": False,
                    "ground_truth": False,
                    "created_at": "2026-01-01T10:00:00.000000Z",
                    "updated_at": "2026-01-01T10:00:00.000000Z",
                    "draft_created_at": None,
                    "lead_time": 12.3,
                    "prediction": {},
                    "result_count": len(task["predictions"][0]["result"]),
                    "task": number,
                    "project": 1,
                    "parent_prediction": number,
                    "parent_annotation": None,
                }
            ],
            "file_upload": "a-label-studio.json",
            "drafts": [],
            "predictions": [number],
            "data": task["data"],
            "meta": {},
            "inner_id": number,
            "total_annotations": 1,
            "cancelled_annotations": 0,
            "total_predictions": 1,
            "project": 1,
        }
        for number, task in enumerate(tasks, start=1)
    ]


def test_label_studio_gets_ranges_of_frames_and_its_setup(tmp_path: Path) -> None:
    write(tmp_path / "label-studio.json", [timeline_of()])
    (task,) = json.loads((tmp_path / "label-studio.json").read_text())
    result = task["predictions"][0]["result"][0]
    assert (result["type"], result["value"]["timelinelabels"]) == ("timelinelabels", ["walking"])
    (frames,) = result["value"]["ranges"]
    segment = timeline_of().segments[0]
    assert frames == {"start": round(segment.start * 25) + 1, "end": round(segment.end * 25)}
    assert task["data"] == {"video": "a.mp4", "source": str(Path("a.mp4").absolute()), "framerate": 25.0}
    setup = ElementTree.parse(tmp_path / "label-studio.xml")
    assert [label.get("value") for label in setup.iter("Label")] == list(LABELS)
    video, asked = setup.find("Video"), setup.find("TimelineLabels")
    assert video is not None
    assert asked is not None
    assert (video.get("value"), video.get("framerate")) == ("$video", "$framerate")
    assert (asked.get("name"), asked.get("toName")) == (result["from_name"], result["to_name"])
    assert video.get("name") == result["to_name"]


@pytest.mark.parametrize("begins", [0.0, 4.011])
@pytest.mark.parametrize("rate", [0.0, 25.0, 30000 / 1001, 10.0])
def test_what_label_studio_exports_is_what_was_told(tmp_path: Path, rate: float, begins: float) -> None:
    path = write_clip(tmp_path / "a.mp4")
    segments = [
        Segment("walking", 0.0, 0.29, 0.5),
        Segment("sitting", 0.29, 12.34, 0.5),
        Segment("a & <b>", 3.5, 3.501, 0.5),
        Segment("walking", 7101.017, 7102.9, 0.5),
    ]
    timeline = replace(timeline_of(str(path)), segments=segments, rate=rate, begins=begins)
    write(tmp_path / "label-studio.json", [timeline])
    tasks = json.loads((tmp_path / "label-studio.json").read_text())
    (tmp_path / "export.json").write_text(json.dumps(exported(tasks)))
    write_manifest(import_dataset("label-studio", tmp_path / "export.json").manifest, tmp_path / "list.csv")
    found = read_manifest(tmp_path / "list.csv", events=True).clips
    assert [(clip.path, clip.label) for clip in found] == [
        ("a.mp4", each.label) for each in sorted(segments, key=start)
    ]
    frame = 1 / (rate or 25.0)
    for clip, segment in zip(found, sorted(segments, key=start), strict=True):
        assert clip.start == pytest.approx(segment.start, abs=0.51 * frame)
        assert clip.end == pytest.approx(
            segment.end, abs=(0.51 if segment.end - segment.start > frame else 1.5) * frame
        )
    again = [Segment(clip.label, clip.start or 0.0, clip.end or 0.0, 0.5) for clip in found]
    write(tmp_path / "again-label-studio.json", [replace(timeline, segments=again)])
    (task,) = json.loads((tmp_path / "again-label-studio.json").read_text())
    ranges = [result["value"]["ranges"] for result in task["predictions"][0]["result"]]
    assert sorted(ranges, key=str) == sorted(
        (r["value"]["ranges"] for r in tasks[0]["predictions"][0]["result"]), key=str
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"ranges": [{"start": 1, "end": 5}]}, "not one has an answer; label some"),  # marked, and given no label
        ({"timelinelabels": ["walking"]}, r"task 0: its answers are not as .* 'ranges'\); export as JSON again"),
        ({"timelinelabels": ["walking"], "ranges": [{"start": "soon"}]}, "task 0: .*soon.*; export as JSON again"),
        ({"timelinelabels": ["walking"], "ranges": [{}]}, "task 0: its answers are not .*; export as JSON again"),
        (None, "task 0: its answers are not as Label Studio exports them"),
    ],
)
def test_answers_that_are_not_as_they_should_be_are_named(tmp_path: Path, value: Any, reason: str) -> None:
    write_clip(tmp_path / "a.mp4")
    write(tmp_path / "label-studio.json", [timeline_of(str(tmp_path / "a.mp4"))])
    export = exported(json.loads((tmp_path / "label-studio.json").read_text()))
    export[0]["annotations"][0]["result"] = [{"type": "timelinelabels", "value": value}]
    (tmp_path / "export.json").write_text(json.dumps(export))
    with pytest.raises(ValueError, match=reason):
        import_dataset("label-studio", tmp_path / "export.json")


def start(segment: Segment) -> float:
    return segment.start


def test_names_that_say_no_format_are_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the endings \.csv, \.json, \.srt, \.vtt, \.html or label-studio"):
        check_name(tmp_path / "a.txt", 1)
    with pytest.raises(ValueError, match="subtitles are of one video, and 2 were given"):
        check_name(tmp_path / "a.srt", 2)
    check_name(tmp_path / "my-label-studio.json", 2)


def test_a_film_strip_stays_short_and_even_however_long_the_video_is() -> None:
    strip = Strip(most=8)
    pixels = window(0.0, (0.1, 0.2)).scores.new_zeros(1, 3, 8, 8).byte()
    for second in range(1000):
        strip.add(pixels, float(second))
    times = [time for time, _ in strip.pictures()]
    assert 4 <= len(times) <= 8
    assert len({later - time for time, later in pairwise(times)}) == 1
    assert times[-1] >= 1000 - 2 * (times[1] - times[0])


def test_labels_that_are_markup_stay_text(tmp_path: Path) -> None:
    windows = [window(float(second), (0.3, 0.2), labels=("<b>&", "x")) for second in range(6)]
    timeline = Timeline.of(windows, LabelSet.of(["<b>&", "x"]))
    write(tmp_path / "a.vtt", [timeline])
    write(tmp_path / "a.html", [timeline])
    assert "&lt;b&gt;&amp;" in (tmp_path / "a.vtt").read_text()
    assert "<b>&" not in (tmp_path / "a.html").read_text()


def test_labels_that_players_of_subtitles_take_for_markup_are_shown(tmp_path: Path) -> None:
    label = "<b>a</b> <red> {\\an8}b {Y:i}c C:\\News x < y"
    windows = [window(float(second), (0.3, 0.2), labels=(label, "x")) for second in range(6)]
    write(tmp_path / "a.srt", [Timeline.of(windows, LabelSet.of([label, "x"]))])
    with av.open(str(tmp_path / "a.srt")) as container:
        lines: list[Any] = [line for packet in container.demux(subtitles=0) for line in packet.decode()]
    said = "<b>a</b> <red> (|an8)b (Y:i)c C:|News x < y"
    told = said.translate(str.maketrans({"<": "\u2039", ">": "\u203a", "|": "\u2216"}))
    assert [line.dialogue.decode() for line in lines] == [told]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1100])
def test_a_click_plays_the_video_from_there(tmp_path: Path, width: int) -> None:
    path = write_clip(tmp_path / "a#1.webm", codec="libvpx-vp9", frames=moving(300), options={"cpu-used": "8"})
    write(tmp_path / "page.html", [timeline_of(str(path))])
    write(tmp_path / "late.html", [replace(timeline_of(str(path)), begins=2.0)])
    begin = timeline_of().segments[0].start
    with opened(tmp_path / "late.html", tmp_path / "profile", width=width) as page:
        page.ask("document.querySelector('.piece').click(), 1")
        assert page.ask("document.querySelector('video').currentTime") == pytest.approx(begin + 2.0, abs=1.0)
    with opened(tmp_path / "page.html", tmp_path / "profile", width=width) as page:
        assert page.errors == []
        assert page.ask("document.documentElement.scrollWidth") <= width
        assert page.ask("document.querySelectorAll('.piece').length") == 2
        page.ask("document.querySelector('.piece').click(), 1")
        at = page.ask("document.querySelector('video').currentTime")
        assert at == pytest.approx(begin, abs=1.0)
