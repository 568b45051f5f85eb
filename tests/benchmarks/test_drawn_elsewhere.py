"""Clips by Pillow show what their sentences say, in every row."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.drawn_elsewhere import ACTIONS, FRAMES, ROWS, answers, clips, write
from benchmarks.pillow_drawings import SHAPES, SIDE
from crossframe import Recognizer
from crossframe.shapes import actions, looks


def test_every_action_and_shape_of_the_world_is_drawn() -> None:
    assert set(ACTIONS) == set(actions.ACTIONS)
    assert set(SHAPES) == set(looks.SHAPES)
    shown = [clip.truth for clip in clips(ROWS["plain"], 66)]
    for action in ACTIONS:
        assert sum(f" {action}" in truth for truth in shown) == 3


@pytest.mark.parametrize("name", ROWS)
def test_each_clip_has_one_true_sentence_and_stays_in_the_frame(name: str) -> None:
    for clip in clips(ROWS[name], 11):
        assert len(set(clip.sentences)) == len(clip.sentences) in (20, 22)
        assert clip.truth in clip.sentences
        for t in (0.0, 0.5, 1.0):
            for figure in clip.figures(t):
                assert 0 <= min(figure.x, figure.y) <= max(figure.x, figure.y) <= 1


@pytest.mark.parametrize(
    ("action", "axis", "sign"),
    [("moving right", "x", 1), ("moving left", "x", -1), ("moving down", "y", 1), ("moving up", "y", -1)],
)
def test_things_move_where_they_are_said_to(action: str, axis: str, sign: int) -> None:
    for name in ("plain", "slow", "all in the first quarter", "a still second shape"):
        clip = next(clip for clip in clips(ROWS[name], 22) if clip.truth.endswith(action))
        first, last = (getattr(clip.figures(t)[-1], axis) for t in (0.0, 1.0))
        assert (last - first) * sign > 0.1


def test_files_hold_the_drawings(tmp_path: Path) -> None:
    clip = next(iter(clips(ROWS["plain"], 1)))
    with av.open(str(write(clip, tmp_path / "clip.mp4"))) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.shape == (FRAMES, SIDE, SIDE, 3)
    figure = clip.figures(0.0)[0]
    background = np.array(clip.background.getpixel((0, 0)))
    seen = np.abs(frames[0].astype(int) - background).sum(2) > 90
    rows, columns = np.nonzero(seen)
    assert columns.mean() / SIDE == pytest.approx(figure.x, abs=0.03)
    assert rows.mean() / SIDE == pytest.approx(figure.y, abs=0.03)


def test_what_was_said_of_each_clip_is_kept(tiny_folder: Path, tmp_path: Path) -> None:
    found = answers(Recognizer.from_pretrained(str(tiny_folder)), ROWS["spins that start anywhere"], 2, tmp_path)
    assert [row["truth"].split(" ", 3)[3] for row in found] == ["spinning clockwise", "spinning anticlockwise"]
    assert (tmp_path / "clips.csv").read_text().count(".mp4") == len(list(tmp_path.glob("*.mp4"))) == 2
