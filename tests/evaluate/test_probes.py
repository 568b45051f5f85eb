"""Time taken away from clips."""

from __future__ import annotations

import pytest
import torch

from crossframe.evaluate.probes import probe_frames, probed, read_probes
from tests.evaluate.world import small_model

CLIP = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 40, 40).contiguous()


def order(frames: torch.Tensor) -> list[int]:
    return frames[:, 0, 0, 0].tolist()


def test_each_probe_takes_time_away_in_its_own_way() -> None:
    assert order(probe_frames(CLIP, "reverse")) == [5, 4, 3, 2, 1, 0]
    assert order(probe_frames(CLIP, "one-frame")) == [3] * 6
    shuffled = order(probe_frames(CLIP, "shuffle"))
    assert sorted(shuffled) == [0, 1, 2, 3, 4, 5] != shuffled
    assert shuffled == order(probe_frames(CLIP, "shuffle"))
    assert read_probes("one-frame, shuffle") == ("shuffle", "one-frame")
    with pytest.raises(ValueError, match="there is no probe 'blur'; choose from shuffle, reverse, one-frame"):
        read_probes("shuffle,blur")


def test_a_model_sees_clips_as_the_probe_leaves_them_and_is_as_before_afterwards() -> None:
    model = small_model()
    kept = model.preprocess
    other = torch.randint(256, (6, 3, 50, 40), dtype=torch.uint8)
    with probed(model, "reverse"):
        assert torch.equal(model.prepare([CLIP, other]), kept([CLIP.flip(0), other.flip(0)]))
        assert torch.equal(model.prepare(CLIP), kept(CLIP.flip(0)))
        assert torch.equal(model.preprocess.three_crops([other]), kept.three_crops([other.flip(0)]))
        assert model.preprocess.short_side == kept.short_side
    assert model.preprocess is kept
    with probed(model, None):
        assert model.preprocess is kept
