"""`crossframe timeline` as people use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossframe import Prediction, Recognizer
from crossframe.video.given import Video
from tests.cli.conftest import Run
from tests.cli.test_classify import one_line
from tests.video.clips import moving, write_clip

LABELS = ("-l", "arm wrestling", "-l", "cleaning a pool")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "a clip.mp4", frames=moving(120, 48, 40))


def test_it_writes_every_format_and_says_where(command: Run, clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    names = ("list.csv", "all.json", "a.srt", "a.vtt", "page.html", "label-studio.json")
    outs = [word for name in names for word in ("--out", tmp_path / name)]
    done = command("timeline", clip, *LABELS, "--model", tiny_folder, "--window", 1, *outs)
    assert done.status == 0
    assert done.err.splitlines() == [str(tmp_path / name) for name in names]
    assert str(clip) in done.out
    assert (tmp_path / "list.csv").read_text().startswith("path,start,end,label,score\n")
    (found,) = json.loads((tmp_path / "all.json").read_text())
    assert (found["window"], found["stride"]) == (1.0, 0.25)
    assert found["windows"][-1]["end"] == 4.8
    (tmp_path / "other-label-studio.xml").write_text("<View/>")
    again = command("timeline", clip, *LABELS, "--model", "gone", "--out", tmp_path / "other-label-studio.json")
    assert (again.status, one_line(again, "other-label-studio.xml is there already")) == (2, True)
    for name in names:  # which may have been corrected by hand; a page is made anew
        if not (tmp_path / name).stat().st_size:
            (tmp_path / name).write_text("1\n")  # subtitles of nothing are an empty file
        again = command("timeline", clip, *LABELS, "--model", "gone", "--out", tmp_path / name)
        told = "'gone' is no file" if name == "page.html" else f"{name} is there already"
        assert (again.status, told in again.err) == (2, True), again.err


def test_what_is_done_is_written_where_the_rest_is_given_up(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_clip(tmp_path / "other.mp4", frames=moving(60, 48, 40))
    whole = Recognizer.timeline

    def broken_off(self: Recognizer, video: Video, *rest: Any, **settings: Any) -> Iterator[Prediction]:
        if video.name == str(other):
            raise ValueError("more windows than there is room for")
        return whole(self, video, *rest, **settings)

    monkeypatch.setattr(Recognizer, "timeline", broken_off)
    out = tmp_path / "all.json"
    done = command("timeline", clip, other, *LABELS, "--model", tiny_folder, "--window", 1, "--out", out)
    assert done.status == 2
    assert done.err.splitlines() == [
        f"crossframe: {out} has 1 of 2 videos",
        "crossframe: more windows than there is room for",
    ]
    assert [each["video"] for each in json.loads(out.read_text())] == [str(clip)]


def test_a_film_that_is_cut_off_is_told(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", frames=moving(250, 96, 80), options={"g": "25"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    lost = command("classify", cut, *LABELS, "--model", tiny_folder).err
    assert "of its frames are missing or cannot be decoded" in lost
    done = command("timeline", cut, *LABELS, "--model", tiny_folder, "--out", tmp_path / "cut.html")
    assert (done.status, lost.splitlines()[-1] in done.err.splitlines()) == (0, True), done.err
    assert "of its frames are missing" in (tmp_path / "cut.html").read_text()
    (line,) = command("timeline", cut, *LABELS, "--model", tiny_folder, "--json").out.splitlines()
    (warning,) = json.loads(line)["warnings"]
    assert warning in lost


def test_json_is_one_object_for_each_video(command: Run, clip: Path, tiny_folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    done = command("timeline", clip, bad, *LABELS, "--model", tiny_folder, "--json")
    assert done.status == 1
    found = json.loads(done.out)
    assert found["video"] == str(clip)
    assert {"segments", "labels", "damaged", "gaps", "weights", "window", "stride"} <= set(found)
    assert one_line(done, "bad.mp4", "is not a video")


def test_what_cannot_be_is_said_before_anything_slow(command: Run, clip: Path, tiny_folder: Path) -> None:
    for arguments, words in (
        (("--window", "0"), ("a window of 0 seconds",)),
        (("--stride", "-1"), ("a stride of -1 seconds",)),
        (("--window", "1", "--stride", "1.5"), ("a stride of 1.5 seconds leaves out", "windows of 1 seconds")),
        (("--out", "a.txt"), ("a.txt", "label-studio.json")),
    ):
        done = command("timeline", clip, *LABELS, "--model", tiny_folder, *arguments)
        assert done.status == 2
        assert one_line(done, *words), done.err
    assert command("timeline", "gone.mp4", *LABELS, "--model", tiny_folder).status == 2
    assert one_line(command("timeline", clip, clip, *LABELS, "--model", tiny_folder, "--out", "a.srt"), "of one video")


def test_what_really_happens_says_how_well_it_is_told(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(f"path,start,end,label\n{clip},1.0,2.0,arm wrestling\n{clip},3,4,cleaning a pool\n")
    done = command("timeline", clip, *LABELS, "--model", tiny_folder, "--truth", truth, "--json")
    assert done.status == 0
    measured = json.loads(done.out.splitlines()[-1])["localization"]
    assert [row["label"] for row in measured["per_label"]] == ["arm wrestling", "cleaning a pool"]
    assert all(0 <= measured[name] <= 1 for name in ("ap_30", "ap_70", "points", "mean_ap", "covered", "overlap"))
    shown = command("timeline", clip, *LABELS, "--model", tiny_folder, "--truth", truth)
    assert "average precision at overlaps" in shown.out
    truth.write_text("path,start,end,label\nother.mp4,1.0,2.0,arm wrestling\n")
    others = command("timeline", clip, *LABELS, "--model", "gone", "--truth", truth)  # before a model is looked for
    assert (others.status, one_line(others, str(truth), f"no event of {clip}", "other videos")) == (2, True)


def test_of_a_part_only_what_happens_in_it_is_measured(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(f"path,start,end,label\n{clip},0.5,1.5,arm wrestling\n{clip},3,4,cleaning a pool\n")
    words = (*LABELS, "--model", tiny_folder, "--window", 1, "--truth", truth)
    done = command("timeline", clip, *words, "--start", 2, "--end", 3.5, "--json")
    assert done.status == 0
    measured = json.loads(done.out.splitlines()[-1])["localization"]
    assert [(row["label"], row["events"]) for row in measured["per_label"]] == [("cleaning a pool", 1)]
    assert all(measured[name] == measured["per_label"][0][name] for name in ("ap_30", "ap_70", "points"))
    rows = tmp_path / "parts.csv"
    rows.write_text(f"path,start,end\n{clip},0,2\n{clip},2,4.5\n")
    done = command("timeline", rows, *words, "--json")
    assert done.status == 0
    measured = json.loads(done.out.splitlines()[-1])["localization"]
    assert [(row["label"], row["events"]) for row in measured["per_label"]] == [
        ("arm wrestling", 1),
        ("cleaning a pool", 1),
    ]
    for times, told in ((("--start", 1.5, "--end", 3), "from 1.5 to 3 s"), (("--start", 4), "from 4 s on")):
        none = command("timeline", clip, *LABELS, "--model", "gone", "--truth", truth, *times)
        assert (none.status, one_line(none, str(truth), f"no event of {clip} {told}; give a part")) == (2, True)


def test_what_was_told_is_kept_where_nothing_can_be_measured(
    command: Run, clip: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    truth, out = tmp_path / "truth.csv", tmp_path / "out.csv"
    truth.write_text("path,start,end,label\nbad.mp4,1.0,2.0,arm wrestling\n")
    words = ("--model", tiny_folder, "--truth", truth, "--out", out)
    done = command("timeline", clip, tmp_path / "bad.mp4", *LABELS, *words)
    assert done.status == 2
    assert "no video of which --truth has events could be read" in done.err
    assert out.is_file()


def test_pictures_that_are_further_apart_than_a_window_are_told_in_a_few_lines(
    command: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    """As a film has them that was made of a picture every five seconds."""
    path = write_clip(tmp_path / "slow.mp4", frames=24, rate=1, times=[5 * number for number in range(24)])
    done = command("timeline", path, "-l", "arm wrestling", "-l", "sitting", "--model", tiny_folder, "--window", 2)
    assert done.status == 0
    assert one_line(
        done, "slow.mp4: 23 times the next frame is further away than a window of 2 s; give a longer --window"
    )
    assert done.out.count("(no frame") == 11
    assert "(no frame, 13 times more)" in done.out
