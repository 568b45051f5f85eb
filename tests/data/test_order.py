"""Which clips make which batch, for any number of processes."""

from __future__ import annotations

import pytest

from crossframe.data.order import evaluation_batches, shuffled, training_batches


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 7, 16])
def test_every_clip_is_seen_once(count: int, world: int) -> None:
    order = shuffled(count, seed=0, epoch=0)
    train = [training_batches(order, 4, rank=rank, world=world) for rank in range(world)]
    test = [evaluation_batches(count, 4, rank=rank, world=world) for rank in range(world)]
    for shares in (train, test):
        assert sorted(index for share in shares for batch in share for index in batch) == list(range(count))
    assert len({len(share) for share in train}) == 1


def test_a_training_step_has_the_same_clips_on_any_number_of_processes() -> None:
    order = shuffled(10, seed=0, epoch=3)
    alone = training_batches(order, 4)
    shares = [training_batches(order, 4, rank=rank, world=2) for rank in range(2)]
    assert [sorted(batch) for batch in alone] == [sorted(a + b) for a, b in zip(*shares, strict=True)]
    assert alone == [order[0:4], order[4:8], order[8:10]]


def test_evaluation_groups_are_the_same_on_any_number_of_processes() -> None:
    alone = evaluation_batches(11, 2)
    shares = [group for rank in range(3) for group in evaluation_batches(11, 2, rank=rank, world=3)]
    assert sorted(shares) == alone


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    orders = [shuffled(50, seed, epoch) for seed in range(3) for epoch in range(3)]
    assert shuffled(50, 1, 1) == orders[4]
    assert len({tuple(order) for order in orders}) == 9


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 0 clips"):
        training_batches(range(4), 0)
    with pytest.raises(ValueError, match="process 2 of 2"):
        evaluation_batches(4, 2, rank=2, world=2)
