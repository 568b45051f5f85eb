"""Verification: every file decoded to its end, what is broken named, and no sound file decoded twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.data.resumable import Outcome
from crossframe.data.verify import record_of, verify
from crossframe.video.given import VideoError
from tests.data.dataset import FRAMES, write_dataset, write_numbered
from tests.video.clips import packets_of, rewrite, write_clip


def problems(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.problem for outcome in outcomes if outcome.problem is not None}


def test_broken_files_are_named_in_parallel_and_sound_ones_counted(folder: Path, tmp_path: Path) -> None:
    outcomes = list(verify(read_manifest(folder), tmp_path / "record", workers=2))
    assert [outcome.name for outcome in outcomes] == read_manifest(folder).names
    assert list(problems(outcomes)) == ["jumping/1.mp4"]
    assert "is not a video" in problems(outcomes)["jumping/1.mp4"]
    assert [outcome.frames for outcome in outcomes if outcome.problem is None] == [FRAMES] * 8


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(write_dataset(tmp_path / "set", per_class=1, broken="waving/0.mp4"))
    record = tmp_path / "record"
    asked: list[str] = []

    def remember(sources: list[Path], *_: object, **__: object) -> object:
        asked[:] = [f"{path.parent.name}/{path.name}" for path in sources]
        return (VideoError("broken") for _ in sources)

    first = verify(manifest, record, workers=0)
    assert next(first).name == "clapping/0.mp4"
    first.close()
    with record.open("a") as file:
        file.write('{"name": "jumping/0.mp4", "fra')  # killed while it wrote

    list(verify(manifest, record, workers=0))
    lines = record.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines if line.endswith("}")] == [
        *("clapping/0.mp4", "jumping/0.mp4", "waving/0.mp4")
    ]

    monkeypatch.setattr("crossframe.video.decode.decode_many", remember)
    list(verify(manifest, record))
    assert asked == ["waving/0.mp4"]  # what was broken is tried again

    write_numbered(tmp_path / "set/clapping/0.mp4", width=64)
    list(verify(manifest, record))
    assert asked == ["clapping/0.mp4", "waving/0.mp4"]  # and so is what has changed


def test_damage_inside_a_file_that_opens(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4")
    data = bytearray(whole.read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big")
    data[start + size // 4 : start + size * 3 // 4] = bytes(size * 3 // 4 - size // 4)  # half of the pictures
    (tmp_path / "holes.mp4").write_bytes(data)
    film = write_clip(tmp_path / "film.mkv")
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    clips = tuple(Clip(name, "x") for name in ("whole.mp4", "holes.mp4", "cut.mkv"))
    found = problems(list(verify(Manifest(clips, ("x",), tmp_path), tmp_path / "record", workers=0)))
    assert set(found) == {"holes.mp4", "cut.mkv"}
    assert all("\n" not in problem and str(tmp_path) not in problem for problem in found.values())


def test_pictures_that_the_decoder_repairs_are_no_sound_ones(tmp_path: Path) -> None:
    packets = packets_of(write_clip(tmp_path / "sound.mkv", frames=12))
    packets[5] = packets[5][: len(packets[5]) // 2].ljust(len(packets[5]), b"\0")
    rewrite(tmp_path / "sound.mkv", tmp_path / "hole.mkv", packets)
    clips = Clip("sound.mkv", "x"), Clip("hole.mkv", "x")
    found = problems(list(verify(Manifest(clips, ("x",), tmp_path), tmp_path / "record", workers=0)))
    assert found == {"hole.mkv": "some of its 12 frames are damaged"}


def test_missing_files_and_clips_outside_theirs(tmp_path: Path) -> None:
    write_numbered(tmp_path / "two seconds.mp4")
    clips = (
        Clip("two seconds.mp4", "x", start=0.5, end=1.5),
        Clip("two seconds.mp4", "x", start=7.0),
        Clip("gone.mp4", "x"),
    )
    outcomes = list(verify(Manifest(clips, ("x",), tmp_path), tmp_path / "record", workers=0))
    found = problems(outcomes)
    assert len(outcomes) == 3  # two files, and one clip
    assert set(found) == {"gone.mp4", "two seconds.mp4#t=7.0"}
    assert "does not exist" in found["gone.mp4"]
    assert "has no frame from 7.0" in found["two seconds.mp4#t=7.0"]


def test_the_record_lies_beside_the_manifest(tmp_path: Path) -> None:
    assert record_of(tmp_path / "list.parquet") == tmp_path / "list.verified.jsonl"
    assert record_of(tmp_path) == tmp_path / "verified.jsonl"
