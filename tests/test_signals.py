"""Processes that work for another one end when that one says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

import pytest

from crossframe import signals
from crossframe.signals import leave_signals_to_parent


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
