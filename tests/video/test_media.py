"""What a folder of videos stands for, and what is no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossframe.video.decode import read_video
from crossframe.video.given import VideoError, videos_in


def test_a_folder_stands_for_what_is_in_it_and_where_its_links_lead(tmp_path: Path) -> None:
    for name in ("disk/b.MP4", "clips/a.webm", "clips/deep/c.mov", "clips/notes", "clips/._a.webm", "clips/.t/d.avi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "clips/more").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/back").symlink_to(tmp_path / "clips")
    (tmp_path / "clips/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")  # missing, which is for the reader to say
    found = [path.relative_to(tmp_path / "clips").as_posix() for path in videos_in(tmp_path / "clips")]
    assert found == ["a.webm", "deep/c.mov", "gone.mp4", "more/b.MP4"]


def test_a_pipe_or_a_link_to_itself_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    with pytest.raises(VideoError, match=r"pipe\.mp4: is a pipe or a device; write the video to a file first"):
        read_video(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match=r"self\.mp4: cannot be opened \(Too many levels of symbolic links\)"):
        read_video(tmp_path / "self.mp4")
