"""Which frames are looked at."""

from __future__ import annotations

import itertools
import random

import pytest

from crossframe.data.sampling import Sampling


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
    drawn = [Sampling(4, official=True).train(43, random.Random(seed)) for seed in range(200)]
    for part in range(4):
        assert {indices[part] for indices in drawn} == set(range(10 * part, 10 * part + 10))
    assert Sampling(8, official=True).train(2, random.Random(0)) == [0, 0, 0, 1, 1, 1, 0, 0]
    assert Sampling(4, official=True).test(16) == Sampling(4).test(16)


def test_several_views_of_the_authors_are_draws_of_their_own_and_all_alike_for_short_clips() -> None:
    sampling = Sampling(4, views=3, official=True)
    views = [sampling.train(43, random.Random(seed)) for seed in range(50)]
    assert {len(indices) for indices in views} == {12}
    assert all(index // 10 == place % 4 for indices in views for place, index in enumerate(indices))
    assert all(indices[:4] != indices[4:8] != indices[8:] for indices in views)
    assert Sampling(8, views=2, official=True).train(2, random.Random(0)) == [0, 0, 0, 1, 1, 1, 0, 0] * 2
    assert [Sampling(4, views=v, official=o).draws_tests for v in (1, 3) for o in (False, True)] == [*[False] * 3, True]


def test_dense_training_draws_a_place() -> None:
    drawn = [Sampling(4, "dense").train(40, random.Random(seed)) for seed in range(300)]
    assert all([b - a for a, b in itertools.pairwise(d)] == [4, 4, 4] for d in drawn)
    assert {indices[0] for indices in drawn} == set(range(28))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="0 frames in 1 views"):
        Sampling(0)
    with pytest.raises(ValueError, match="'random' is unknown"):
        Sampling(8, "random")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="the authors' code has no dense sampling"):
        Sampling(8, "dense", official=True)
