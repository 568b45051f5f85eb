"""One clip from its file."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossframe.data.reader import Job, Sampling, read_clip
from crossframe.video.decode import Frames, read_video
from crossframe.video.exact import open_video
from crossframe.video.given import Limits, VideoError
from tests.data.dataset import numbers, write_numbered
from tests.video.clips import cut_start, write_clip


def read(job: Job, sampling: Sampling | None = None, short_side: int | None = None) -> list[int]:
    return numbers(Frames.from_arrays(read_clip(job, sampling or Sampling(4), short_side)).pixels)


def frame_range(path: Path, start: float, end: float) -> tuple[int, int]:
    with open_video(path) as video:
        return video.frame_range(start, end)


def test_fixed_frames_for_testing(folder: Path) -> None:
    job = Job(folder / "waving/0.mp4", index=6, target=2)
    assert read(job) == [2, 7, 12, 17]
    assert read(job, Sampling(2, views=2)) == [2, 12, 7, 17]


def test_a_training_draw_depends_on_seed_epoch_and_index(folder: Path) -> None:
    def draw(seed: int, epoch: int, index: int) -> tuple[int, ...]:
        return tuple(read(Job(folder / "waving/0.mp4", index, 2, draw=(seed, epoch))))

    draws = {draw(seed, epoch, index) for seed in range(2) for epoch in range(2) for index in range(2)}
    assert len(draws) == 8
    assert draw(1, 1, 1) in draws


def test_a_stretch_of_a_file(folder: Path) -> None:
    path = folder / "waving/0.mp4"  # 10 frames a second
    assert read(Job(path, 0, 0, start=0.5, end=0.9)) == [5, 6, 7, 8]
    assert read(Job(path, 0, 0, end=0.4)) == [0, 1, 2, 3]
    assert read(Job(path, 0, 0, start=1.6)) == [16, 17, 18, 19]
    assert read(Job(path, 0, 0, start=1.6, end=60.0)) == [16, 17, 18, 19]
    drawn = [number for epoch in range(20) for number in read(Job(path, 0, 0, 0.3, 1.1, draw=(0, epoch)))]
    assert set(drawn) == set(range(3, 11))


def test_seconds_count_from_the_first_frame(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.ts")  # a transport stream begins at 1.4 s on its own clock
    assert frame_range(path, 0.5, 0.9) == (5, 9)


def test_frames_that_an_edit_hides_are_not_counted(tmp_path: Path) -> None:
    path = cut_start(write_numbered(tmp_path / "whole.mp4"), tmp_path / "cut.mp4", 5)
    assert frame_range(path, 0.5, 0.9) == (5, 9)
    assert read(Job(path, 0, 0, start=0.5, end=0.9)) == [10, 11, 12, 13]
    with pytest.raises(VideoError, match="has no frame from"):
        frame_range(path, 1.6, 2.0)  # training fails too: it has no such frame


def test_an_avi_without_timestamps_goes_by_its_rate(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.avi")
    assert frame_range(path, 0.5, 0.9) == (5, 9)


def test_a_stretch_outside_the_file_is_a_failure(folder: Path) -> None:
    with pytest.raises(VideoError, match=r"no frame from 3\.0 to 4\.0 s; its last is at 1\.90 s"):
        frame_range(folder / "waving/0.mp4", 3.0, 4.0)
    with pytest.raises(VideoError, match="has no frame from"):
        read(Job(folder / "waving/0.mp4", 6, 2, start=3.0))


def test_large_frames_are_scaled_down(folder: Path) -> None:
    assert read_clip(Job(folder / "waving/1.mp4", 7, 2), Sampling(4), 16).pixels.shape == (4, 16, 24, 3)


@pytest.mark.parametrize("name", ["jumping/1.mp4", "jumping/missing.mp4", "jumping"])
def test_what_cannot_be_read_is_a_failure_of_one_line(folder: Path, name: str) -> None:
    with pytest.raises(VideoError, match=name) as caught:
        read(Job(folder / name, 4, 1))
    assert "\n" not in str(caught.value)


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


@pytest.fixture
def slow_then_fast(tmp_path: Path) -> Path:
    """Frames at 0, 1, ... 9 s, then ten more within a second."""
    levels = np.arange(20, dtype=np.uint8) * 12
    frames = np.broadcast_to(levels[:, None, None, None], (20, 32, 32, 3))
    times = [*(10 * t for t in range(10)), *(100 + t for t in range(10))]
    return write_clip(tmp_path / "uneven.mp4", frames=frames, rate=10, times=times)


def test_time_goes_by_the_clock(slow_then_fast: Path) -> None:
    def frames(sampling: Sampling, **job: Any) -> list[int]:
        return read(Job(slow_then_fast, 0, 0, **job), sampling)

    assert frames(Sampling(4)) == [2, 7, 12, 17]
    assert (
        frames(Sampling(4, "time")) == read_video(slow_then_fast, 4, sampling="time").indices.tolist() == [1, 4, 6, 9]
    )
    assert frames(Sampling(2, "time", views=2)) == [1, 6, 4, 9]
    assert frames(Sampling(3, "time"), start=2.0, end=8.0) == [3, 5, 7]
    drawn = [frames(Sampling(4, "time"), draw=(0, epoch)) for epoch in range(8)]
    assert len(set(map(tuple, drawn))) > 4
    assert all(row == sorted(row) for row in drawn)
    assert sum(frame >= 10 for row in drawn for frame in row) < 8  # the last second of eleven


def test_without_a_clock_time_is_sparse() -> None:
    assert Sampling(4, "time").test(100) == Sampling(4).test(100)
    assert Sampling(4, "time").train(100, random.Random(3)) == Sampling(4).train(100, random.Random(3))


def test_a_clip_keeps_to_its_limits(folder: Path) -> None:
    job = Job(folder / "waving/0.mp4", 6, 2)
    with pytest.raises(VideoError, match="claims 20 frames, and 3 are the most"):
        read_clip(job, Sampling(4), limits=Limits(frames=3))
    assert read_clip(job, Sampling(4)).total == 20


def test_a_process_that_reads_clips_needs_no_torch() -> None:
    program = "import sys; import crossframe.video.isolate, crossframe.data.reader; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
