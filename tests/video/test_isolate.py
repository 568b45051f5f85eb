from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from crossframe.video.decode import Frames, VideoError, decode_many, read_video
from crossframe.video.exact import Decoded
from crossframe.video.isolate import receive, send
from tests.video.clips import moving
from tests.video.hooks import misbehave

Clip = Callable[[str], Path]


def process_of(frames: Frames | VideoError) -> int:
    assert isinstance(frames, Frames)
    return int(frames.times[0])


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order_with_errors_in_their_places(clip: Clip, tmp_path: Path, workers: int) -> None:
    names = ["h264.mp4", "vp9.webm", "two_frames.mp4", "hevc.mp4"]
    sources = [clip(name) for name in names]
    sources.insert(1, tmp_path / "missing.mp4")
    results = list(decode_many(sources, 4, workers=workers, short_side=24))
    assert isinstance(results[1], VideoError)
    assert str(results[1]) == f"{sources[1]}: does not exist; check the path"
    for source, result in zip(sources, results, strict=True):
        if isinstance(result, Frames):
            assert result.source == str(source)
            assert torch.equal(result.pixels, read_video(source, 4, short_side=24).pixels)
    assert sum(isinstance(result, Frames) for result in results) == 4


def test_arrays_and_bytes_may_be_among_the_sources(clip: Clip) -> None:
    data = clip("h264.mp4").read_bytes()
    array, from_bytes = decode_many([moving(6), data], 2, workers=1)
    assert isinstance(array, Frames)
    assert isinstance(from_bytes, Frames)
    assert (array.total, from_bytes.total) == (6, 30)


def test_warnings_are_logged_by_this_process(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    list(decode_many([clip("two_frames.mp4")], 8, workers=1))
    assert "has 2 frames, 8 were wanted" in caplog.text


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("hang", "hang: was not read within 0.5 seconds; leave it out, or allow more time"),
        ("crash", "crash: stopped the decoder (SIGSEGV); leave it out"),
        ("memory", "memory: needs more than 256 MB to be read; leave it out, or allow more memory"),
    ],
)
def test_harm_costs_one_file_and_one_process(harm: str, message: str) -> None:
    sources = ["first", harm, "second", "third"]
    timeout = 0.5 if harm == "hang" else 30.0
    first, harmed, second, third = decode_many(sources, 2, workers=1, timeout=timeout, memory=256 << 20, read=misbehave)
    assert isinstance(harmed, VideoError)
    assert str(harmed) == message
    assert process_of(second) == process_of(third)  # one new process, and it stays
    assert len({process_of(first), process_of(second), os.getpid()}) == 3


@pytest.mark.parametrize("name", ["bad", "surprise"])
def test_a_bad_file_does_not_cost_the_process(name: str) -> None:
    first, bad, talked = decode_many(["first", name, "talk"], 2, workers=1, read=misbehave)
    assert isinstance(bad, VideoError)
    assert str(bad).startswith(f"{name}: ")
    assert process_of(first) == process_of(talked)


def test_a_surprise_is_told_as_that_of_its_file(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "crossframe"):
        (surprise,) = decode_many(["surprise"], 2, workers=1, read=misbehave)
    assert str(surprise) == "surprise: stopped the reader (RuntimeError: a mistake of ours); leave it out"
    assert "Traceback" in caplog.text
    assert "misbehave" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_another_reader_can_be_given(workers: int) -> None:
    (frames,) = decode_many(["talk"], 3, workers=workers, read=misbehave)
    assert isinstance(frames, Frames)
    assert frames.source == "talk"
    assert (process_of(frames) == os.getpid()) == (workers == 0)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_reach_the_process(clip: Clip, kind: Callable[[bytes], bytes]) -> None:
    (frames,) = decode_many([kind(clip("h264.mp4").read_bytes())], 2, workers=1)
    assert isinstance(frames, Frames)
    assert frames.total == 30


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory are set on Linux")
def test_a_limit_of_the_shell_is_kept_to(clip: Clip) -> None:
    program = (
        "import sys\n"
        "from crossframe.video.decode import decode_many\n"
        "print([getattr(frames, 'total', frames) for frames in decode_many(sys.argv[1:], 2, workers=1)])\n"
    )
    files = [str(clip(name)) for name in ("h264.mp4", "two_frames.mp4")]
    limited = 'ulimit -v 6000000; exec "$0" -c "$@"'
    done = subprocess.run(
        ["bash", "-c", limited, sys.executable, program, *files], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[30, 2]\n", done.stderr


def test_a_hanging_file_does_not_stop_the_other_worker() -> None:
    results = list(decode_many(["hang", "a", "b", "c", "d"], 2, workers=2, timeout=1.0, read=misbehave))
    assert isinstance(results[0], VideoError)
    assert [result.source for result in results[1:] if isinstance(result, Frames)] == ["a", "b", "c", "d"]


def test_sources_are_taken_only_a_few_ahead() -> None:
    taken: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(len(taken))
            yield "video"

    results = decode_many(endless(), 2, workers=2, read=misbehave)
    for _ in range(3):
        next(results)
    assert len(taken) <= 3 + 2 * 2
    results.close()  # pyright: ignore[reportAttributeAccessIssue]  (a generator)


def test_closing_early_ends_the_processes() -> None:
    results = decode_many(["a", "hang", "hang", "b"], 2, workers=2, timeout=600, read=misbehave)
    process = process_of(next(results))
    results.close()  # pyright: ignore[reportAttributeAccessIssue]  (a generator)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_impossible_limits() -> None:
    with pytest.raises(ValueError, match="workers=-1"):
        decode_many([], workers=-1)
    with pytest.raises(ValueError, match=r"limits of 0 seconds, .*: use numbers above 0"):
        decode_many([], timeout=0)


def test_arrays_cross_a_pipe_as_they_are_and_a_cut_answer_is_no_answer(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 40, 50, 3), dtype=np.uint8)
    path = tmp_path / "answer"
    with path.open("wb") as pipe:
        send(pipe, Decoded(pixels, np.arange(2), np.zeros(2), 9, np.zeros(2, dtype=np.bool_), 0, "a.mp4"))
    with path.open("rb") as pipe:
        answer = receive(pipe)
    assert np.array_equal(answer.pixels, pixels)
    assert answer.pixels.flags.writeable
    assert answer.source == "a.mp4"
    path.write_bytes(path.read_bytes()[:-1])
    with path.open("rb") as pipe, pytest.raises(EOFError):
        receive(pipe)
