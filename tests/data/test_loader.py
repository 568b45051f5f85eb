"""Batches of decoded clips: order, shares, taking up again, failures, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from crossframe.data.batch import Batch
from crossframe.data.loader import EvalLoader, TrainLoader, evaluation_batches, shuffled, training_batches
from crossframe.data.manifest import read_manifest
from crossframe.data.reader import Sampling
from crossframe.video.given import Limits, limited
from tests.data.dataset import numbers
from tests.data.hanging import HANGS, read_or_hang

BROKEN = 4


def content(batches: list[Batch]) -> list[list[tuple[int, int, list[int]]]]:
    return [
        [
            (index, target, numbers(video))
            for index, target, video in zip(batch.indices.tolist(), batch.targets.tolist(), batch.videos, strict=True)
        ]
        for batch in batches
    ]


def test_an_epoch_holds_every_clip_once_and_reports_the_broken_one(folder: Path) -> None:
    manifest = read_manifest(folder)
    loader = TrainLoader(manifest, Sampling(4), 4, seed=3)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader) == 3
    seen = [index for batch in batches for index in batch.indices.tolist()]
    failures = [failure for batch in batches for failure in batch.failures]
    assert sorted([*seen, *(failure.index for failure in failures)]) == list(range(9))
    assert [(failure.index, failure.target) for failure in failures] == [(BROKEN, 1)]
    assert "jumping/1.mp4" in failures[0].reason
    for batch in batches:
        assert batch.targets.tolist() == [manifest.targets()[index] for index in batch.indices.tolist()]
        assert all(video.dtype == torch.uint8 and video.shape[:2] == (4, 3) for video in batch.videos)


def test_epochs_differ_and_can_be_repeated_with_any_number_of_workers(folder: Path) -> None:
    manifest = read_manifest(folder)
    here = TrainLoader(manifest, Sampling(4), 4, seed=3)
    elsewhere = TrainLoader(manifest, Sampling(4), 4, seed=3, workers=2)
    state = torch.get_rng_state()
    first, second = content(list(here.epoch(0))), content(list(here.epoch(1)))
    assert first != second
    assert content(list(elsewhere.epoch(1))) == second
    assert content(list(elsewhere.epoch(0))) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert content(list(TrainLoader(manifest, Sampling(4), 4, seed=4).epoch(0))) != first


def test_other_frames_of_a_clip_are_drawn_in_another_epoch(folder: Path) -> None:
    loader = TrainLoader(read_manifest(folder), Sampling(4), 4, seed=3)
    first, second = (
        {index: frames for batch in content(list(loader.epoch(number))) for index, _, frames in batch}
        for number in (0, 1)
    )
    assert first.keys() == second.keys()
    assert any(first[index] != second[index] for index in first)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_taken_up_where_it_stopped(folder: Path, workers: int) -> None:
    loader = TrainLoader(read_manifest(folder), Sampling(4), 2, workers=workers)
    whole = content(list(loader.epoch(5)))
    interrupted = loader.epoch(5)
    begun = content([next(interrupted), next(interrupted)])
    assert begun + content(list(loader.epoch(5, start=2))) == whole
    assert list(loader.epoch(5, start=len(loader))) == []


def test_processes_share_an_epoch(folder: Path) -> None:
    manifest = read_manifest(folder)
    shares = [list(TrainLoader(manifest, Sampling(4), 8, process=(rank, 4)).epoch(0)) for rank in range(4)]
    assert [len(share) for share in shares] == [2] * 4  # the second batch is one clip: three shares are empty
    seen = [index for share in shares for batch in share for index in batch.indices.tolist()]
    failed = [failure.index for share in shares for batch in share for failure in batch.failures]
    assert sorted(seen + failed) == list(range(9))
    assert sum(len(share[1]) + len(share[1].failures) for share in shares) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_reads_fixed_frames_in_order_and_keeps_the_broken_clip(folder: Path, workers: int) -> None:
    loader = EvalLoader(read_manifest(folder), Sampling(2), 4, workers=workers)
    batches = list(loader)
    assert len(loader) == 3
    assert [batch.indices.tolist() for batch in batches] == [[0, 1, 2, 3], [5, 6, 7], [8]]
    assert [failure.index for batch in batches for failure in batch.failures] == [BROKEN]
    assert all(numbers(video) == [5, 15] for batch in batches for video in batch.videos)
    assert content(list(loader)) == content(batches)


def test_the_authors_views_are_drawn_for_each_clip_and_in_every_run_alike(folder: Path) -> None:
    manifest, sampling = read_manifest(folder), Sampling(2, views=2, official=True)
    alone = list(EvalLoader(manifest, sampling, 4))
    frames = {tuple(numbers(video)) for batch in alone for video in batch.videos}
    assert len(frames) > 4  # of eight clips of 20 frames
    assert all(first // 10 == 0 and second // 10 == 1 for view in frames for first, second in (view[:2], view[2:]))
    shared = [batch for rank in range(2) for batch in EvalLoader(manifest, sampling, 4, process=(rank, 2))]
    assert sorted(content(shared)) == sorted(content(alone))


def test_a_batch_in_which_nothing_can_be_read_is_empty(folder: Path) -> None:
    batches = list(EvalLoader(read_manifest(folder), Sampling(2), 1))
    assert len(batches[BROKEN]) == 0
    assert batches[BROKEN].targets.dtype == torch.int64
    assert len(batches[BROKEN].failures) == 1


def test_a_batch_must_fit_together() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 1\) videos, targets and indices"):
        Batch([torch.zeros(1, 3, 2, 2)], torch.tensor([0, 1]), torch.tensor([0]))


def test_no_clips_cannot_be_trained_on(folder: Path) -> None:
    with pytest.raises(ValueError, match="no clips to train on"):
        TrainLoader(read_manifest(folder).keep([]), Sampling(4), 4)


FOREVER = """
import signal
import sys
from crossframe.data.loader import TrainLoader
from crossframe.data.manifest import read_manifest
from crossframe.data.reader import Sampling
from crossframe.data.loader import evaluation_batches, shuffled, training_batches

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loader = TrainLoader(read_manifest(sys.argv[1]), Sampling(4), 2, workers=2)
    try:
        for epoch in range(1_000_000):
            for batch in loader.epoch(epoch):
                print("batch", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_workers_without_a_word(number: int, folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "forever.py"
    script.write_text(FOREVER)
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "batch\n"
    os.killpg(process.pid, number)  # as terminals and schedulers do: to parent and workers alike
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.endswith("stopped\n")
    assert err == ""


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


def test_a_decoder_that_hangs_costs_its_file_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(folder)
    monkeypatch.setattr("crossframe.data.loader.read_clip", read_or_hang)
    with limited(Limits(seconds=4.0)):
        loader = EvalLoader(manifest, Sampling(2), 4, workers=1)
    for _ in range(2):
        failures = {failure.index: failure.reason for batch in loader for failure in batch.failures}
        assert set(failures) == {HANGS, BROKEN}
        assert "clapping/0.mp4: was not read within 4 seconds; leave it out" in failures[HANGS]


def test_readers_of_an_epoch_that_is_left_do_not_disturb_the_next(folder: Path) -> None:
    loader = TrainLoader(read_manifest(folder), Sampling(4), 2, workers=1)
    left, goes_on = loader.epoch(0), loader.epoch(0)
    begun = [next(left), next(goes_on)]
    del left
    rest = list(goes_on)
    assert content(begun[:1]) == content(begun[1:])
    assert content([begun[1], *rest]) == content(list(loader.epoch(0)))


def test_limits_of_its_maker_hold_in_a_loader(folder: Path) -> None:
    for workers in (0, 1):
        with limited(Limits(frames=3)):
            loader = EvalLoader(read_manifest(folder), Sampling(2), workers=workers)
        reasons = [failure.reason for batch in loader for failure in batch.failures]
        assert len(reasons) == 9
        assert sum("claims 20 frames, and 3 are the most" in reason for reason in reasons) == 8
