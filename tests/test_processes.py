"""The processors of a process, and workers that end when the one they work for says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from crossframe import processes
from crossframe.processes import cores, leave_signals_to_parent, share_cores, starting_workers


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_a_process_that_may_use_one_processor_counts_one() -> None:
    allowed = os.sched_getaffinity(0)
    assert cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_without_such_bounds_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


SPINS = "GOMP_SPINCOUNT"


def test_threads_sleep_soon_unless_a_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SPINS, "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    share_cores()
    assert os.environ[SPINS] == "1000"
    monkeypatch.setenv(SPINS, "5")
    share_cores()
    assert os.environ[SPINS] == "5"
    monkeypatch.delenv(SPINS)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    share_cores()
    assert SPINS not in os.environ


def test_the_command_line_says_so_before_torch_is_there() -> None:
    code = """
import os, sys
from crossframe.cli import main
assert "torch" not in sys.modules
try:
    main(["--version"])
except SystemExit:
    print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules)
"""
    kept = {name: value for name, value in os.environ.items() if name not in (SPINS, "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1000 False"


def work(pipe: Connection) -> None:
    leave_signals_to_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    while signal.sigpending():  # a second one would be lost in the first
        os.sched_yield()
    pipe.send("still here")
    pipe.recv()  # nothing comes


@pytest.mark.parametrize("way", ["fork", "forkserver"])
def test_a_worker_ends_when_its_parent_says_so_and_for_nobody_else(way: str) -> None:
    # In a process of its own: threads that others leave behind, such as those of Ray, take signals in a fork.
    program = "import sys; from tests.test_processes import end_a_worker; end_a_worker(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, way], check=True, cwd=Path(__file__).parents[1])


def end_a_worker(way: str) -> None:
    context = multiprocessing.get_context(way)
    mine, theirs = context.Pipe()
    worker = context.Process(target=work, args=(theirs,))
    worker.start()
    theirs.close()
    assert mine.recv() == "still here"
    os.kill(worker.pid or 0, signal.SIGINT)
    assert worker.is_alive()
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0


def work_without_a_parent(pipe: Connection) -> None:
    processes.GRACE = 0.1
    leave_signals_to_parent()
    os.kill(os.getpid(), signal.SIGTERM)
    pipe.recv()  # nothing comes


def test_a_worker_whose_parent_says_nothing_more_ends_by_itself() -> None:
    context = multiprocessing.get_context("forkserver")
    mine, theirs = context.Pipe()
    worker = context.Process(target=work_without_a_parent, args=(theirs,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    mine.close()


def work_after_a_while(pipe: Connection) -> None:
    pipe.send("started")
    pipe.recv()
    leave_signals_to_parent()
    pipe.send("still here")
    pipe.recv()  # nothing comes


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_no_signal_hits_a_worker_before_it_can_leave_them_to_its_parent(way: str) -> None:
    context = multiprocessing.get_context(way)
    mine, theirs = context.Pipe()
    worker = context.Process(target=work_after_a_while, args=(theirs,))
    with starting_workers():
        worker.start()
    theirs.close()  # or a worker that was hit would be waited for, and not noticed
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert mine.recv() == "started"
    for number in (signal.SIGINT, signal.SIGTERM):
        assert subprocess.run([sys.executable, "-c", f"import os; os.kill({worker.pid}, {number})"]).returncode == 0
    mine.send("go on")
    assert mine.recv() == "still here"
    worker.terminate()
    worker.join(60)
    assert worker.exitcode == 0
