"""Windows over a video: the same clips, with the same scores, as naming each stretch by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import crossframe
from crossframe import Prediction, Recognizer, Video, VideoError
from crossframe.taught import CLIP, Taught
from crossframe.timeline.windows import Grid
from tests.video.clips import moving, write_clip

LABELS = ["arm wrestling", "shaking hands", "cleaning a pool"]
GAP = [*range(25), *range(200, 225)]  # frames at 25 a second, with seven seconds in which none is shown


@pytest.fixture(scope="module")
def recognizer(tiny_folder: Path) -> Recognizer:
    return Recognizer(crossframe.load(tiny_folder))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mp4", frames=moving(110), options={"g": "25"})


def spans(found: list[Prediction]) -> list[tuple[float | None, float | None]]:
    return [(each.frames.start, each.frames.end) for each in found]


def assert_like_classify(recognizer: Recognizer, video: Path, found: list[Prediction]) -> None:
    for each in found:
        alone = recognizer.classify(Video(video, each.frames.start, each.frames.end), LABELS)
        assert each.frames.indices.tolist() == alone.frames.indices.tolist()
        assert each.to_dict()["frames"] == alone.to_dict()["frames"]
        torch.testing.assert_close(each.scores, alone.scores, atol=1e-6, rtol=0)
        assert each.video == str(video)


def test_each_window_has_the_scores_of_its_stretch(recognizer: Recognizer, clip: Path) -> None:
    found = list(recognizer.timeline(clip, LABELS, window=1.0, stride=0.3))
    assert spans(found)[:2] == [(0.0, 1.0), (0.3, 1.3)]
    assert spans(found)[-1] == (3.4, 4.4)
    assert_like_classify(recognizer, clip, found)
    assert len({tuple(each.scores.tolist()) for each in found}) > 1


def test_several_windows_are_computed_together_with_the_same_scores(recognizer: Recognizer, clip: Path) -> None:
    alone = list(recognizer.timeline(clip, LABELS, window=1.0, stride=0.5))
    recognizer.batch_size = 3
    try:
        together = list(recognizer.timeline(clip, LABELS, window=1.0, stride=0.5))
    finally:
        recognizer.batch_size = 1
    assert spans(together) == spans(alone)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.scores, other.scores, atol=1e-6, rtol=0)


def test_windows_come_while_the_file_is_read(recognizer: Recognizer, clip: Path) -> None:
    windows = recognizer.timeline(clip, LABELS, window=1.0, stride=1.0, keep_pixels=True)
    first = next(windows)
    assert first.pixels is not None
    assert first.pixels.shape[0] == recognizer.num_frames
    assert (first.frames.start, first.frames.end) == (0.0, 1.0)


def test_a_window_longer_than_the_video_is_the_video(recognizer: Recognizer, clip: Path) -> None:
    (found,) = recognizer.timeline(clip, LABELS, window=60.0)
    assert (found.frames.start, found.frames.end) == (0.0, 4.4)
    torch.testing.assert_close(found.scores, recognizer.classify(clip, LABELS).scores, atol=1e-6, rtol=0)


def test_a_part_of_a_video_has_its_own_windows(recognizer: Recognizer, clip: Path) -> None:
    found = list(recognizer.timeline(Video(clip, 1.0, 3.5), LABELS, window=1.0, stride=1.0))
    assert spans(found) == [(1.0, 2.0), (2.0, 3.0), (2.5, 3.5)]
    assert_like_classify(recognizer, clip, found)


def test_where_no_frame_is_shown_there_is_no_window(recognizer: Recognizer, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "gap.mp4", frames=moving(50), times=GAP)
    found = list(recognizer.timeline(path, LABELS, window=1.0, stride=1.0))
    assert spans(found) == [(0.0, 1.0), (8.0, 9.0)]
    assert_like_classify(recognizer, path, found)


@pytest.mark.parametrize("name", ["vfr_screen_recording.mp4", "anim.gif", "empty_then.mp4"])
def test_files_as_people_have_them(recognizer: Recognizer, shared: Path, name: str) -> None:
    path = shared / "field" / "videos" / name
    found = list(recognizer.timeline(path, LABELS, window=0.8, stride=0.4))
    assert found
    assert_like_classify(recognizer, path, found)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.avi"])
def test_one_frame_is_one_window(recognizer: Recognizer, tmp_path: Path, name: str) -> None:
    codec = {"a.mp4": "libx264", "a.gif": "gif", "a.avi": "mpeg4"}[name]
    pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    path = write_clip(tmp_path / name, frames=1, codec=codec, pix_fmt=pix_fmt)
    (found,) = recognizer.timeline(path, LABELS)
    assert found.frames.indices.tolist() == [0] * recognizer.num_frames


def test_the_usual_window_is_what_the_model_was_trained_on() -> None:
    cut = np.array([(1, 0.0, 3.0), (2, 4.0, 8.0), (3, 1.0, 6.0)], dtype=CLIP)
    whole = np.array([(1, 0.0, np.inf), (2, 4.0, 8.0), (3, 0.0, np.inf)], dtype=CLIP)
    assert Grid.of(None, None, 8, Taught()) == Grid(2.0, 0.5)
    assert Grid.of(None, None, 8, Taught(clips=cut)) == Grid(4.0, 1.0)
    assert Grid.of(None, None, 16, Taught(clips=whole)) == Grid(4.0, 1.0)
    assert Grid.of(3.0, None, 8, Taught(clips=cut)) == Grid(3.0, 0.75)
    assert Grid.of(None, 0.25, 8, Taught()) == Grid(2.0, 0.25)


def test_mistakes_are_told_in_a_line(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a stride of 0 seconds is none; give a number above 0"):
        recognizer.timeline(clip, LABELS, stride=0.0)
    with pytest.raises(ValueError, match="a window of -1"):
        recognizer.timeline(clip, LABELS, window=-1.0)
    with pytest.raises(ValueError, match="use classify_frames"):
        recognizer.timeline(moving(10), LABELS)  # pyright: ignore[reportArgumentType]
    with pytest.raises(VideoError, match=r"gone\.mp4: does not exist"):
        next(recognizer.timeline(tmp_path / "gone.mp4", LABELS))
    with pytest.raises(VideoError, match=r"long\.mp4: has no frame from 9 s on; it lasts 4\.4 s"):
        next(recognizer.timeline(Video(clip, 9.0), LABELS))
