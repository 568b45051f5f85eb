"""Every form in which a command takes videos, and a near miss of each."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
import typer

from crossframe.cli.videos import given_videos
from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, write_manifest
from crossframe.records import read_records
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

LABELS = ["-l", "arm wrestling", "-l", "shaking hands"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips in a folder below the current one, and a text beside them."""
    (tmp_path / "clips").mkdir()
    for name in ("a", "b"):
        write_clip(tmp_path / "clips" / f"{name}.mp4", frames=moving(6, 48, 40), rate=2)
    (tmp_path / "clips" / "notes.md").write_text("buy milk")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*given: str, contained: bool = False) -> list[tuple[str, float | None, float | None]]:
    videos, absent = given_videos(given, contained=contained)
    return [(video.name, video.start, video.end) for video in videos if video not in absent]


def whole(*names: str) -> list[tuple[str, None, None]]:
    return [(name, None, None) for name in names]


def type_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


BOTH = whole("clips/a.mp4", "clips/b.mp4")


def test_patterns_in_quotes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found("clips/*.mp4") == found("**/[ab].mp4") == BOTH
    assert capsys.readouterr().err == ""
    assert found("clips/*") == BOTH
    assert "clips/*: 1 file is left out, which is not called a video: 1 .md" in capsys.readouterr().err
    assert found("clips/*.mov") == []
    assert capsys.readouterr().err == "crossframe: clips/*.mov: no file is called so; check the pattern\n"
    (folder / "clips" / "c[1].mp4").write_bytes((folder / "clips" / "a.mp4").read_bytes())
    assert found("clips/c[1].mp4") == whole("clips/c[1].mp4")


def test_lists_with_parts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = [("clips/a.mp4", 0.5, 2.0), ("clips/a.mp4", 2.0, None), ("clips/b.mp4", None, None)]
    clips = tuple(Clip(path, "x", start=start, end=end) for path, start, end in expected)
    for name in ("list.csv", "list.parquet"):
        write_manifest(Manifest(clips, ("x",), folder), folder / name)
        assert found(name) == expected
    (folder / "bare.csv").write_text("path,start,end\nclips/a.mp4,0.5,2\nhttps://a.org/b.mp4,1,\ngone.mp4,,\n")
    assert found("bare.csv") == [("clips/a.mp4", 0.5, 2.0), ("https://a.org/b.mp4", 1.0, None)]
    assert capsys.readouterr().err == "crossframe: gone.mp4: does not exist; check the path\n"
    (folder / "list.jsonl").write_text('{"path": "clips/b.mp4", "end": 1.5}\n')
    assert found("list.jsonl") == [("clips/b.mp4", None, 1.5)]
    (folder / "bad.csv").write_text("path,start,end\nclips/a.mp4,2,1\n")
    with pytest.raises(ValueError, match=r"^bad\.csv, line 2: clips/a\.mp4: no clip can last from 2\.0 to 1\.0 s"):
        found("bad.csv")
    (folder / "other.jsonl").write_text('{"name": "a"}\n')
    with pytest.raises(ValueError, match=r"^other\.jsonl, line 1: has no path; the columns are name"):
        found("other.jsonl")


def test_lists_of_paths(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clips" / "train.txt").write_text("a.mp4 0\nb.mp4 1\n")
    (folder / "clips" / "paths.txt").write_text("# mine\n\na.mp4\nb.mp4\n")
    assert found("clips/train.txt") == found("clips/paths.txt") == BOTH
    (folder / "paths.txt").write_text("a.mp4\nb.mp4\n")
    assert found("paths.txt") == []
    assert "paths.txt: is not a video, and of the 2 names that it lists none is a file" in capsys.readouterr().err
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"^empty\.txt lists no clips; write one on each row$"):
        found("empty.txt")


def test_names_in_a_file_and_on_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "clips" / "names").write_text("clips/a.mp4\r\nclips/*b.mp4\n")
    assert found("@clips/names") == BOTH
    type_in(monkeypatch, b"clips/b.mp4\nclips/a.mp4\n")
    assert found("@-") == BOTH[::-1]
    type_in(monkeypatch, b"")
    for empty in ("@-", "@clips/a.mp4", "@gone"):
        with pytest.raises(ValueError, match=r"-: has no names|is not UTF-8|cannot read gone"):
            found(empty)
    with pytest.raises(typer.BadParameter, match="stands before the name of a file"):
        found("@")


def test_a_video_on_standard_input(
    folder: Path, command: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, (folder / "clips" / "a.mp4").read_bytes())
    outcome = command("classify", "-", "--end", 1.5, *LABELS, "--model", tiny_folder, "--json")
    record = json.loads(outcome.out)
    assert (outcome.status, record["video"], record["end"]) == (0, "-", 1.5)
    assert max(record["frames"]["indices"]) == 2
    type_in(monkeypatch, b"")
    outcome = command("classify", "-", *LABELS, "--model", "does/not-matter")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "-: has nothing left to read" in outcome.err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(typer.BadParameter, match="is the keyboard; pipe a video into the command"):
        found("-")


def test_archives(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(folder / "shard.tar", "w") as tar:
        tar.add("clips/a.mp4", "run/a.mp4")
        tar.add("clips/notes.md", "run/a.md")
    assert found("shard.tar") == found("shard.tar/run/a.mp4") == found("*.tar") == whole("shard.tar/run/a.mp4")
    assert found("shard.tar/run/b.mp4") == []
    with tarfile.open(folder / "none.tar", "w") as tar:
        tar.add("clips/notes.md")
    assert found("none.tar") == []
    assert "none.tar: no video in this archive" in capsys.readouterr().err
    (folder / "damaged.tar").write_bytes(b"buy milk" * 100)
    assert found("damaged.tar") == found("packed.tar.gz") == []
    said = capsys.readouterr().err
    assert "damaged.tar cannot be read as an uncompressed .tar" in said
    assert "packed.tar.gz is compressed, and files are read where they lie" in said
    assert found("{shard,none}.tar") == whole("shard.tar/run/a.mp4")


def test_times_are_of_one_video(folder: Path) -> None:
    (video,), _ = given_videos(["clips/a.mp4"], 0.5, 2.0)
    assert (video.name, video.start, video.end) == ("clips/a.mp4", 0.5, 2.0)
    with pytest.raises(typer.BadParameter, match="is of one video, and these are 2; give a list with columns path"):
        given_videos(["clips"], 1.0, None)
    with pytest.raises(ValueError, match=r"clips/a\.mp4: no part can last from 2\.0 to 1\.0 s"):
        given_videos(["clips/a.mp4"], 2.0, 1.0)


def test_contained_lists_stay_in_their_folder(folder: Path) -> None:
    (folder / "clips" / "in.txt").write_text("a.mp4\n")
    assert found("clips/in.txt", contained=True) == BOTH[:1]
    (folder / "away.mp4").write_bytes((folder / "clips" / "a.mp4").read_bytes())
    (folder / "clips" / "link.mp4").symlink_to(folder / "away.mp4")
    for number, line in enumerate(("../away.mp4", str(folder / "away.mp4"), "link.mp4", "https://a.org/b.mp4")):
        (folder / "clips" / f"{number}.txt").write_text(f"a.mp4\n{line}\n")
        assert len(found(f"clips/{number}.txt")) == 2
        with pytest.raises(ValueError, match=r"lies outside clips; leave it out"):
            found(f"clips/{number}.txt", contained=True)
    with pytest.raises(ValueError, match=r"link\.mp4: lies outside clips; leave it out"):
        found("clips", contained=True)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_parts_of_one_file_are_records_of_their_own(name: str, folder: Path, command: Run, tiny_folder: Path) -> None:
    (folder / "list.csv").write_text("path,start,end\nclips/a.mp4,0,1\nclips/a.mp4,1,2\nclips/b.mp4,,\n")
    words = [*LABELS, "--model", tiny_folder, "--out", name]
    assert command("classify", "clips/b.mp4", *words).status == 0
    assert command("classify", "list.csv", *words, "--resume").status == 0
    records = [(one["video"], one.get("start"), one.get("end")) for one in read_records(folder / name)]
    assert records == [("clips/b.mp4", None, None), ("clips/a.mp4", 0, 1), ("clips/a.mp4", 1, 2)]


@pytest.mark.parametrize(
    "words", [("train", "finetune", "--out", "run"), ("evaluate", "finetune", "--model", "shapes", "--out", "measured")]
)
def test_contained_lists_of_training_and_evaluation(words: tuple[str, ...], folder: Path, command: Run) -> None:
    (folder / "away.mp4").write_bytes((folder / "clips" / "a.mp4").read_bytes())
    (folder / "clips" / "list.csv").write_text("path,label\na.mp4,yoga\n../away.mp4,golf\n")
    outcome = command(*words, "--data", "clips/list.csv", "--contained")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1), outcome.err
    assert "../away.mp4: lies outside clips; leave it out" in outcome.err
