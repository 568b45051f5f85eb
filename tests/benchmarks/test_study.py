"""Clips that variants of a study share are drawn once, and are the ones that would have been drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.study import drawn_once
from crossframe.data.batch import TrainBatch
from crossframe.data.drawn import Clips
from crossframe.evaluate import shapes
from crossframe.shapes.splits import Split, draw


def test_batches_and_test_clips_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    batch, frames_of = Clips.batch, shapes.frames_of

    def counted_batch(self: Clips, number: int) -> TrainBatch:
        made.append((self, number))
        return batch(self, number)

    def counted_frames(scene: shapes.Scene, count: int) -> torch.Tensor:
        made.append((scene, count))
        return frames_of(scene, count)

    monkeypatch.setattr(Clips, "batch", counted_batch)
    monkeypatch.setattr(shapes, "frames_of", counted_frames)
    clips = [Clips("train", seed, 2, 16, 2) for seed in (0, 1, 0)]
    scenes = [draw(Split.TEST, 0, index) for index in (0, 1, 0)]
    with drawn_once(tmp_path):
        drawn = [each.batch(number) for each in clips for number in (3, 4)]
        films = [shapes.frames_of(scene, 4) for scene in scenes]
        assert len(list(tmp_path.iterdir())) == 1
    assert len(made) == 4 + 2  # two batches of two seeds, two test clips
    assert list(tmp_path.iterdir()) == []
    for found, (each, number) in zip(drawn, [(each, number) for each in clips for number in (3, 4)], strict=True):
        alone = batch(each, number)
        assert torch.equal(_pixels(found), _pixels(alone))
        assert found.tasks[0].texts == alone.tasks[0].texts
        assert torch.equal(found.tasks[0].targets, alone.tasks[0].targets)
    assert not torch.equal(_pixels(drawn[0]), _pixels(drawn[2]))
    assert all(torch.equal(film, frames_of(scene, 4)) for film, scene in zip(films, scenes, strict=True))
    assert not torch.equal(films[0], films[1])


def _pixels(batch: TrainBatch) -> torch.Tensor:
    assert isinstance(batch.clips.videos, torch.Tensor)
    return batch.clips.videos
