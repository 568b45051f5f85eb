"""What several processes of one command say: one line, by the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from crossframe.cli import processes
from tests.cli.conftest import Run

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
