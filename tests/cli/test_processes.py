"""Commands that are told to stop, by Ctrl-C or as schedulers do it, and what several processes say: one line.

No process is left behind. Workers hold the pipes of their command: what reads these to the end has waited for all of
them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crossframe.cli import processes
from tests.cli.conftest import Run
from tests.video.clips import moving, write_clip

PROGRAM = """
import rich.progress
from crossframe.cli import main

if __name__ == "__main__":
    rich.progress.Progress.update = lambda *_, **__: print("at work", flush=True)
    main()
"""
WRONG = ("train", "shapes", "--out", "run", "--set", "train.epochz=3")
ENDED_WHILE_IT_WAITS = """
import os, signal
from crossframe.cli import main, processes
processes.time.sleep = lambda _: os.kill(os.getpid(), signal.SIGTERM)
main()
"""


def test_the_others_leave_without_a_word_when_torchrun_ends_them() -> None:
    other = {**os.environ, "LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}
    command = [sys.executable, "-c", ENDED_WHILE_IT_WAITS, *WRONG]
    result = subprocess.run(command, capture_output=True, text=True, env=other)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_nobody_ends_speaks_for_itself(rank: str, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    previous = signal.getsignal(signal.SIGTERM)
    for name, value in (("LOCAL_RANK", rank), ("RANK", rank), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    waited: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    try:
        outcome = command(*WRONG)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert waited == ([] if rank == "0" else [processes.PATIENCE])


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A command at the head of a group of its own, as a shell would start it."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_training_saves_when_its_whole_group_is_terminated_twice(tmp_path: Path) -> None:
    process = start(PROGRAM, "train", "shapes", "--tiny", "--set", "train.workers=1", "--out", tmp_path)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("memory:"):
        assert process.poll() is None
    for _ in range(2):
        os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[0] == "crossframe: stopping after this step; Ctrl-C to stop without saving"
    assert err.splitlines()[-1].startswith("crossframe: stopped after step")
    assert (tmp_path / "last").is_dir()


def test_drawing_clips_ends_with_its_workers(tmp_path: Path) -> None:
    process = start(PROGRAM, "shapes", "render", tmp_path, "--split", "test", "--videos", 4000, "--workers", 2)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.terminate()  # the workers are told nothing
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "crossframe: interrupted\n")


def test_classifying_ends_when_its_whole_group_is_terminated(tiny_folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=moving(9, 48, 40))
    process = start(PROGRAM, "classify", *[clip] * 2000, "-l", "yoga", "--model", tiny_folder, "--json")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("{"):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "crossframe: interrupted\n")
