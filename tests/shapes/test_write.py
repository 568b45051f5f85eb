from __future__ import annotations

import csv
import resource
from pathlib import Path

import av
import numpy as np
import pytest

from crossframe.shapes import caption, splits
from crossframe.shapes.render import render
from crossframe.shapes.write import COLUMNS, render_dataset, write_clip


def read_rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_show_what_memory_shows(tmp_path: Path) -> None:
    for index in (2, 8, 17):
        scene = splits.draw("train", 0, index)
        fmt = scene.format
        with av.open(str(write_clip(scene, tmp_path / "clip.mp4"))) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            assert container.streams.video[0].average_rate == fmt.fps
            decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        expected = render(scene, (fmt.height, fmt.width), fmt.num_frames).transpose(0, 2, 3, 1)
        assert decoded.shape == expected.shape
        assert np.abs(decoded.astype(int) - expected).mean() < 9  # grain is what compression takes away first
        assert np.abs(decoded.mean((0, 1, 2)) - expected.mean((0, 1, 2))).max() < 4


def test_the_manifest_says_what_the_clips_show(tmp_path: Path) -> None:
    done: list[int] = []
    manifest = render_dataset(tmp_path / "out", "test", 3, 5, workers=1, progress=done.append)
    rows = read_rows(manifest)
    assert done == [1, 2, 3]
    assert list(rows[0]) == list(COLUMNS)
    for index, row in enumerate(rows):
        scene = splits.draw("test", int(row["seed"]), int(row["index"]))
        assert (row["seed"], row["index"], row["split"]) == ("5", str(index), "test")
        assert row["label"] == caption.sentence(scene)
        assert row["action"] == scene.action
        assert f"{row['color']} {row['shape']}" == str(scene.target.look)
        with av.open(str(manifest.parent / row["path"])) as container:
            assert container.streams.video[0].frames == scene.format.num_frames


def test_many_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    # Seed 1 has widths of 7 and 11 macroblocks, which the encoder's defaults do not write the same way twice.
    render_dataset(tmp_path / "one", "train", 4, 1, workers=1)
    render_dataset(tmp_path / "two", "train", 4, 1, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 5


def test_splits_share_a_manifest(tmp_path: Path) -> None:
    render_dataset(tmp_path, "train", 2, workers=1)
    render_dataset(tmp_path, "test", 1, workers=1)
    render_dataset(tmp_path, "train", 1, 1, workers=1)
    rows = read_rows(tmp_path / "manifest.csv")
    assert sorted((row["split"], row["seed"]) for row in rows) == [("test", "0"), ("train", "1")]


def test_another_data_set_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label\na.mp4,waving\n")
    with pytest.raises(ValueError, match="another data set"):
        render_dataset(tmp_path, "train", 1, workers=1)
    assert "waving" in (tmp_path / "manifest.csv").read_text()


def test_clips_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    clip = tmp_path / "train/000000.mp4"
    clip.write_text("mine")
    with pytest.raises(ValueError, match=r"000000\.mp4 is there, and not from shapes render"):
        render_dataset(tmp_path, "train", 1, workers=1)
    assert clip.read_text() == "mine"
    assert not (tmp_path / "manifest.csv").exists()
    assert len(read_rows(render_dataset(tmp_path, "test", 1, workers=1))) == 1  # which touches none of them


def test_work_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_dataset(tmp_path, "train", 2, workers=1, progress=stop)
    assert (tmp_path / "train/000000.mp4").exists()
    assert len(read_rows(render_dataset(tmp_path, "train", 2, workers=1))) == 2


def test_a_failed_clip_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crossframe.files.os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_clip(splits.draw("train", 0, 0), tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


def test_zero_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 videos"):
        render_dataset(tmp_path, "train", 0)


def test_a_disk_that_takes_no_more_is_told_by_the_name_of_the_clip(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_clip(splits.draw("train", 0, 0), tmp_path / "clip.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())
