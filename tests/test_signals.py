"""Processes that work for another one end when that one says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection

import pytest

from crossframe import signals
from crossframe.signals import leave_signals_to_parent, starting_workers


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
    signals.GRACE = 0.1
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
