"""What commands write never takes the place of what they read, and is checked before anything slow is done."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from crossframe.files import check_not_read, check_page, replacing
from crossframe.text.labels import some
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

LABELS = ["-l", "arm wrestling", "-l", "cleaning a pool"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=moving(9, 48, 40))


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossframe.weights.load", lambda *_, **__: pytest.fail("a model was loaded"))


@pytest.mark.parametrize(
    "words", [["classify", "clip.mp4", *LABELS], ["explain", "clip.mp4", *LABELS], ["search", "x", "a"]]
)
@pytest.mark.parametrize("page", ["clip.mp4", "."])
def test_a_page_is_not_written_over_a_video(
    words: list[str], page: str, command: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    video = clip.read_bytes()
    outcome = command(*words, "--html", page)
    assert outcome.status in (1, 2)
    assert outcome.err.count("\n") == 1
    assert f"{page} is no name for a page; let it end in .html" in outcome.err
    assert clip.read_bytes() == video


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(IsADirectoryError):
        check_page(tmp_path / "a.html")
    check_page(tmp_path / "new/a.HTM")


def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>My garden</title>")
    with pytest.raises(ValueError, match="is there, and no page of crossframe; give another name"):
        check_page(tmp_path / "index.html")


def test_another_name_of_what_is_read_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    os.link(tmp_path / "list.csv", tmp_path / "linked.csv")
    for name in ("list.csv", "linked.csv", "x/../list.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="is read, and would be written over; give what is written another name"):
            check_not_read(tmp_path / name, None, tmp_path / "list.csv")
    check_not_read(tmp_path / "other.csv", tmp_path / "list.csv", tmp_path / "gone.csv")


@pytest.mark.parametrize(
    "words",
    [
        ["data", "few-shot", "list.csv", "list.csv", "--shots", "1"],
        ["data", "hold-out", "list.csv", "list.csv"],
        ["data", "between", "list.csv", "list.csv"],
        ["data", "new-classes", "list.csv", "list.csv", "--old", "list.csv"],
        ["data", "import", "csv", "list.csv", "list.csv"],
        ["data", "import", "csv", "list.csv", "new.csv", "--labels", "list.csv"],
        ["suggest", "index", "--labeled", "list.csv", "--out", "list.csv", "-l", "a"],
        ["timeline", "clip.mp4", *LABELS, "--truth", "list.csv", "--out", "list.csv"],
    ],
    ids=lambda words: some(words[:3]),
)
def test_a_list_is_not_written_over_what_it_is_made_of(
    words: list[str], command: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(clip.parent)
    Path("list.csv").write_text("path,label,start,end\nclip.mp4,running,0,0.1\nclip.mp4,falling,0.2,0.3\n")
    kept = Path("list.csv").read_bytes()
    outcome = command(*words)
    assert outcome.status in (1, 2)
    assert outcome.err.count("\n") == 1
    assert "list.csv is" in outcome.err
    assert Path("list.csv").read_bytes() == kept


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("name", ["pipe", "link"])
def test_no_file_takes_the_place_of_a_device_or_a_pipe(
    name: str, command: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    refused = command("classify", "clip.mp4", *LABELS, "--out", name)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert f"{name}: cannot be written (is a device or a pipe, where a file is needed)" in refused.err
    with pytest.raises(OSError, match="is a device or a pipe"), replacing(Path(name)):
        pytest.fail("something was written")
    assert Path(name).is_fifo()
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "link", "pipe"]


@pytest.mark.parametrize(("name", "remedy"), [("a.csv.partial", "go on with --resume"), ("a.csv", "start again")])
def test_records_that_may_grow_no_more_are_gone_on_with(
    name: str, remedy: str, command: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)

    monkeypatch.setattr(sys.modules["crossframe.cli.classify"], "check_free", full)  # of the name, a function
    outcome = command("classify", clip, *LABELS, "--out", clip.with_name("a.csv"))
    assert outcome.err.splitlines()[-1] == (
        f"crossframe: {name}: would be larger than files may be here (ulimit -f); allow more and {remedy}"
    )
