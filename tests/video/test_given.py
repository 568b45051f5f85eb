"""What a video may be given as."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch

from crossframe import Video, VideoError, read_video
from crossframe.video.decode import decode_many
from crossframe.video.exact import open_video
from tests.video.clips import moving, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", frames=moving(50, 48, 40), rate=25)


def test_open_files_are_read_from_where_they_stand(clip: Path) -> None:
    expected = read_video(clip, 4)
    with clip.open("rb") as file:
        frames = read_video(file, 4)
        assert (frames.source, file.tell()) == (str(clip), 0)
        file.read(1)
        file.seek(0)
        assert read_video(file, 4).pixels.equal(expected.pixels)
    held = io.BytesIO(b"before" + clip.read_bytes())
    held.seek(6)
    named = io.BytesIO(clip.read_bytes())
    named.name = "upload.mp4"
    first, second = decode_many([held, named], 4, workers=1)
    for read, name in ((first, "<bytes>"), (second, "<upload.mp4>")):
        assert not isinstance(read, VideoError)
        assert (read.pixels.equal(expected.pixels), read.source) == (True, name)


def test_files_that_give_no_bytes_are_refused(clip: Path) -> None:
    used = io.BytesIO(clip.read_bytes())
    used.seek(0, 2)
    with pytest.raises(VideoError, match=r"^<bytes>: has nothing left to read; call seek\(0\) first"):
        read_video(used)
    with pytest.raises(VideoError, match=r"is open for text; open it with mode 'rb'"):
        read_video(io.StringIO("buy milk"))  # pyright: ignore[reportArgumentType]
    used.close()
    with pytest.raises(VideoError, match=r"cannot be read \(I/O operation on closed file.*\); open it again"):
        read_video(used)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_part_is_sampled_as_if_it_were_all(clip: Path, workers: int) -> None:
    part = Video(clip, start=0.4, end=0.8)
    (frames,) = decode_many([part], 5, workers=workers)
    assert not isinstance(frames, VideoError)
    assert frames.indices.tolist() == [11, 13, 15, 17, 19]
    assert (frames.source, frames.start, frames.end, frames.total) == (str(clip), 0.4, 0.8, 50)
    assert frames.pixels.equal(read_video(clip, indices=[11, 13, 15, 17, 19]).pixels)
    assert read_video(part, 5, sampling="time").indices.tolist() == [11, 13, 15, 17, 19]
    with clip.open("rb") as file:
        assert read_video(Video(file.read(), end=0.4), 2).indices.tolist() == [2, 7]
    with open_video(part) as video:
        assert len(video.times) == 50


def test_parts_that_cannot_be_are_refused(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    for start, end in ((-1.0, None), (2.0, 1.0), (1.0, 1.0), (float("nan"), None)):
        with pytest.raises(VideoError, match=r"no part can last from .* start at 0 or later, end after it"):
            Video(clip, start, end)
    with pytest.raises(VideoError, match=r"a\.mp4: has no frame from 9\.0 s on; its last is at 1\.96 s"):
        read_video(Video(clip, start=9.0))
    read_video(Video(clip, end=0.1), 8)
    assert "has 3 frames in the part asked for, 8 were wanted; some are repeated" in caplog.text


def test_frames_that_were_read_can_be_read_again(clip: Path) -> None:
    frames = read_video(clip, 8)
    few = read_video(frames, 4)
    assert few.indices.tolist() == frames.indices[[1, 3, 5, 7]].tolist()
    assert few.pixels.equal(frames.pixels[[1, 3, 5, 7]])
    assert torch.equal(read_video(frames, 8).pixels, frames.pixels)


def test_a_name_in_an_archive_is_looked_up(clip: Path, tmp_path: Path) -> None:
    archive = tmp_path / "shard.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(clip, "run/a.mp4")
    assert read_video(archive / "run" / "a.mp4", 4).pixels.equal(read_video(clip, 4).pixels)
    with pytest.raises(VideoError, match=r"b\.mp4: .*check the path"):
        read_video(archive / "run" / "b.mp4")
