from __future__ import annotations

import doctest
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossframe.model import config, preprocess
from crossframe.video import draws, sample


def cases(golden: Path, kind: str) -> list[tuple[int, int, object]]:
    table = json.loads((golden / "sampling.json").read_text())[kind]
    keys = [(key, *map(int, key.removeprefix("T").split("_N"))) for key in table]
    return [(num_frames, total, table[key]) for key, num_frames, total in keys]


@pytest.mark.parametrize("module", [sample, config, preprocess, draws])
def test_documented_examples_are_true(module: object) -> None:
    result = doctest.testmod(module)  # pyright: ignore[reportArgumentType]
    assert result.attempted > 0
    assert result.failed == 0


def test_sparse_is_the_authors_test_sampling(golden: Path) -> None:
    for num_frames, total, expected in cases(golden, "test"):
        assert sample.sparse(total, num_frames) == expected


def test_official_training_draws(golden: Path) -> None:
    for num_frames, total, expected in cases(golden, "train"):
        length = sample.segment_length(total, num_frames)
        assert length == expected["segment_length"]
        for seed, indices in enumerate(expected["first_three_seed_0_1_2"]):
            draws = np.random.RandomState(seed).randint(length, size=num_frames).tolist() if length else []
            assert sample.train_indices(total, num_frames, draws) == indices
        if expected["deterministic"] and length == 0:
            assert sample.train_indices(total, num_frames) == expected["indices"]


def test_official_multi_clip_draws(golden: Path) -> None:
    for num_frames, total, expected in cases(golden, "multiview4"):
        length = sample.segment_length(total, num_frames)
        for seed in (11, 12):
            generator = np.random.RandomState(seed)
            draws = [generator.randint(length, size=num_frames).tolist() if length else [] for _ in range(4)]
            clips = [sample.train_indices(total, num_frames, clip) for clip in draws]
            assert [index for clip in clips for index in clip] == expected[f"seed{seed}"]


def test_official_draws_are_checked() -> None:
    with pytest.raises(ValueError, match="give one for each"):
        sample.train_indices(16, 4, [0, 1])
    with pytest.raises(ValueError, match=r"must be in \[0, 4\)"):
        sample.train_indices(16, 4, [0, 1, 2, 4])


@given(total=st.integers(1, 5000), num_frames=st.integers(1, 64), seed=st.integers(0, 9), stride=st.integers(1, 50))
def test_indices_exist_and_do_not_go_back(total: int, num_frames: int, seed: int, stride: int) -> None:
    drawn = [
        sample.sparse(total, num_frames),
        sample.sparse_random(total, num_frames, random.Random(seed)),
        *sample.sparse_views(total, num_frames, 4),
        *sample.dense_views(total, num_frames, 3, stride=stride),
    ]
    for indices in drawn:
        assert len(indices) == num_frames
        assert indices == sorted(indices)
        assert indices[0] >= 0
        assert indices[-1] < total


def test_a_stride_that_is_too_wide_becomes_the_widest_that_fits() -> None:
    assert sample.dense(10, 4, stride=8, offset=0.0) == [0, 3, 6, 9]


@given(total=st.integers(1, 2000), num_frames=st.integers(1, 32))
def test_random_draws_stay_in_their_segments_and_reach_the_tail(total: int, num_frames: int) -> None:
    almost_one = np.nextafter(1.0, 0.0)
    last = sample.sparse(total, num_frames, offset=float(almost_one))
    assert last[-1] == total - 1
    first = sample.sparse(total, num_frames, offset=0.0)
    for low, index, high in zip(first, sample.sparse_random(total, num_frames, random.Random(1)), last, strict=True):
        assert low <= index <= high


def test_views_differ_and_are_the_same_in_every_run() -> None:
    views = sample.sparse_views(300, 8, 4)
    assert views == sample.sparse_views(300, 8, 4)
    assert len({tuple(view) for view in views}) == 4


def test_impossible_wishes() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        sample.sparse(0, 8)
    with pytest.raises(ValueError, match="use 1 or more"):
        sample.dense(8, 0)
    with pytest.raises(ValueError, match="use 0 <= offset < 1"):
        sample.sparse(8, 4, offset=1.0)
    with pytest.raises(ValueError, match="stride of 0"):
        sample.dense(8, 4, stride=0)
    with pytest.raises(ValueError, match="0 views"):
        sample.sparse_views(8, 4, 0)
