"""The parts of an annotated archive: what is done, what is missing, and who may write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest

from crossframe.archive import results as module
from crossframe.archive.decoding import Job
from crossframe.archive.results import Parts, columns
from crossframe.video.given import Video

RUN = {"model": "x", "weights": "a" * 64, "width": 2, "features": 0, "labels": ["a", "b"]}


def table(*rows: dict[str, Any]) -> Any:
    empty = {"vector": [0.6, 0.8], "weights": RUN["weights"]}
    schema = arrow.schema(list(columns(2, 0, "float32").items()))
    return arrow.Table.from_pylist([empty | {"video": Path(row["source"]).name} | row for row in rows], schema)


def left(parts: Parts, *names: str, cut: bool = False) -> list[str]:
    return [Path(str(job.video.source)).name for job in parts.jobs([Video(name) for name in names], cut=cut)]


def test_what_has_a_row_is_done_be_it_a_result_or_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    with Parts(tmp_path / "out", RUN) as parts:
        parts.add(table({"source": "/a.mp4"}))
        assert parts.paths() == []
        parts.add(
            table({"source": "/b.mp4", "error": "b.mp4: is empty"}, {"source": "/c.mp4", "start": 1.0, "end": 2.0})
        )
        assert [path.name for path in parts.paths()] == ["part-00000.parquet"]
        parts.add(table({"source": "/d.mp4"}))
    with Parts(tmp_path / "out", RUN) as parts:
        assert [path.name for path in parts.paths()] == ["part-00000.parquet", "part-00001.parquet"]
        assert left(parts, "/a.mp4", "/b.mp4", "/c.mp4", "/d.mp4", "/e.mp4", "/e.mp4") == ["c.mp4", "e.mp4"]
        assert (parts.results, parts.errors) == (3, 1)
        assert parts.jobs([Video("/c.mp4", 1.0, 2.0)], cut=False) == []
        parts.forget_errors()
        assert left(parts, "/a.mp4", "/b.mp4") == ["b.mp4"]
        assert (parts.results, parts.errors) == (3, 0)


def test_a_video_that_is_cut_is_done_when_all_its_windows_are(tmp_path: Path) -> None:
    with Parts(tmp_path, RUN) as parts:
        rows = [{"source": "/a.mp4", "start": at, "end": at + 1, "windows": 3} for at in (0.0, 1.0)]
        parts.add(table(*rows, {"source": "/bad.mp4", "error": "no video"}))
        parts.flush()
        videos = [Video("/a.mp4"), Video("/bad.mp4"), Video("/new.mp4")]
        done = frozenset({(0.0, 1.0), (1.0, 2.0)})
        assert parts.jobs(videos, cut=True) == [Job(videos[0], done), Job(videos[2])]
        parts.add(table({"source": "/a.mp4", "start": 2.0, "end": 3.0, "windows": 3}))
        parts.flush()
        assert parts.jobs(videos, cut=True) == [Job(videos[2])]


def test_another_model_or_writer_or_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with (
        Parts(tmp_path / "out", RUN),
        pytest.raises(ValueError, match="another process writes to it"),
        Parts(tmp_path / "out", RUN),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r'was made with labels \["a", "b"\], not \["a"\]; '),
        Parts(tmp_path / "out", RUN | {"labels": ["a"]}),
    ):
        pass
    with (
        pytest.raises(ValueError, match="out was made without --summary; do the same, or give --out another folder"),
        Parts(tmp_path / "out", RUN | {"features": 12}),
    ):
        pass
    with Parts(tmp_path / "out", RUN | {"model": "where it is now"}) as parts:
        assert left(parts, "/a.mp4") == ["a.mp4"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ValueError, match="has files of something else"), Parts(tmp_path / "other", RUN):
        pass
    (tmp_path / "out" / "part-00000.parquet").write_bytes(b"cut off")
    with (
        Parts(tmp_path / "out", RUN) as parts,
        pytest.raises(ValueError, match="remove it, and its clips are done again"),
    ):
        left(parts, "/a.mp4")
