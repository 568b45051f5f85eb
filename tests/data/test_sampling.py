"""Which frames are looked at."""

from __future__ import annotations

import itertools
import random

import pytest

from crossframe.data.sampling import OfficialSampling, Sampling


def test_testing_looks_at_fixed_places_one_view_after_the_other() -> None:
    assert Sampling(4).test(16) == [2, 6, 10, 14]
    assert Sampling(4, views=2).test(16) == [1, 5, 9, 13, 3, 7, 11, 15]
    assert Sampling(4, "dense").test(100) == [44, 48, 52, 56]
    assert len(Sampling(4, "dense", views=3).test(100)) == 12


def test_training_draws_one_frame_of_each_part() -> None:
    drawn = [Sampling(4, views=2).train(40, random.Random(seed)) for seed in range(200)]
    for part in range(4):
        assert {indices[part] for indices in drawn} == set(range(10 * part, 10 * part + 10))


def test_the_authors_never_draw_a_clips_last_frames_and_wrap_short_ones() -> None:
    drawn = [OfficialSampling(4).train(43, random.Random(seed)) for seed in range(200)]
    for part in range(4):
        assert {indices[part] for indices in drawn} == set(range(10 * part, 10 * part + 10))
    assert OfficialSampling(8).train(2, random.Random(0)) == [0, 0, 0, 1, 1, 1, 0, 0]
    assert OfficialSampling(4).test(16) == Sampling(4).test(16)


def test_dense_training_draws_a_place() -> None:
    drawn = [Sampling(4, "dense").train(40, random.Random(seed)) for seed in range(300)]
    assert all([b - a for a, b in itertools.pairwise(d)] == [4, 4, 4] for d in drawn)
    assert {indices[0] for indices in drawn} == set(range(28))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="0 frames in 1 views"):
        Sampling(0)
    with pytest.raises(ValueError, match="'random' is unknown"):
        Sampling(8, "random")  # pyright: ignore[reportArgumentType]
