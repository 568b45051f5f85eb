"""Borders of shots, where the extra is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossframe import Video, VideoError
from crossframe.timeline import shots
from tests.video.clips import moving, write_clip


def test_a_cut_is_found_in_seconds_after_the_first_frame(tmp_path: Path) -> None:
    pytest.importorskip("scenedetect")
    still = np.full((60, 96, 96, 3), 40, dtype=np.uint8)
    other = np.full((60, 96, 96, 3), (200, 180, 20), dtype=np.uint8)
    path = write_clip(tmp_path / "cut.mp4", frames=np.concatenate([still, other]), times=range(50, 170))
    assert shots.shot_changes(Video(path)) == [pytest.approx(60 / 25, abs=0.05)]
    with pytest.raises(VideoError, match="shots are found in files"):
        shots.shot_changes(Video(path.read_bytes()))
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {path.name}\n")
    with pytest.raises(VideoError, match=r"list\.mp4: is a playlist or a script that names other files"):
        shots.shot_changes(Video(tmp_path / "list.mp4"))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"bad\.mp4: shots cannot be found"):
        shots.shot_changes(Video(tmp_path / "bad.mp4"))


def test_without_the_package_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(shots, "import_module", missing)
    path = write_clip(tmp_path / "a.mp4", frames=moving(5))
    with pytest.raises(ImportError, match=r"PySceneDetect finds where shots change; install it: .*pip install"):
        shots.shot_changes(Video(path))
