"""Training in processes of their own, which can be killed: as torchrun would start them, but sooner.

They come from a server that has imported everything once, so that a process costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from crossframe.recipes.schema import Recipe
from crossframe.train import run as run_module
from crossframe.train.checkpoint import RunFolder
from crossframe.train.loop import StepReport
from crossframe.train.run import train

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])
TRACED = {"open", "os.rename", "os.remove", "os.mkdir", "shutil.rmtree"}  # what changes a disk


@dataclass(frozen=True)
class Kill:
    """When a process ends itself by SIGKILL: at its `event`-th access to the run's folder, after a `step`, or after
    some CPU time."""

    event: int | None = None
    step: int | None = None
    seconds: float | None = None
    number: int = signal.SIGKILL

    def arm(self, folder: Path) -> None:
        def die(*_: object) -> None:
            os.kill(os.getpid(), self.number)

        count = 0

        def watch(name: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if name in TRACED and arguments and str(arguments[0]).startswith(str(folder)):
                count += 1
                if count == self.event:
                    die()

        add = run_module.Meter.add

        def note(self_: run_module.Meter, report: StepReport) -> None:
            add(self_, report)
            if report.step == self.step:
                die()

        run_module.Meter.add = note
        if self.event is not None:
            sys.addaudithook(watch)
        if self.seconds is not None:
            signal.signal(signal.SIGPROF, die)
            signal.setitimer(signal.ITIMER_PROF, self.seconds)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its exit code (-9 for SIGKILL), what `call` returned, and its last words."""

    code: int | None
    value: Any
    words: str


def together(
    call: Callable[..., Any], *arguments: Any, world: int = 1, kill: Sequence[Kill | None] = ()
) -> list[Outcome]:
    """Run `call(*arguments)` in `world` processes and wait for their ends. `kill[rank]` may end one of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[tuple[ForkServerProcess, Connection]] = []
    for rank in range(world):
        mine, theirs = SERVER.Pipe(duplex=False)
        moment = kill[rank] if kill else None
        process = SERVER.Process(target=_main, args=(theirs, rank, world, port, moment, call, arguments))
        process.start()
        theirs.close()
        started.append((process, mine))
    outcomes: list[Outcome] = []
    for process, mine in started:
        try:
            value, words = mine.recv()
        except EOFError:
            value, words = None, ""
        process.join()
        outcomes.append(Outcome(process.exitcode, value, words))
    return outcomes


def _main(
    pipe: Connection, rank: int, world: int, port: int, kill: Kill | None, call: Callable[..., Any], arguments: tuple
) -> None:
    torch.set_num_threads(1)
    if world > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if kill is not None:
        kill.arm(next(argument for argument in arguments if isinstance(argument, Path)))
    try:
        pipe.send((call(*arguments), ""))
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if isinstance(error, ValueError | OSError) else traceback.format_exc()
        pipe.send((None, text))
        pipe.close()
        os._exit(1)


def train_and_tell(recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train, or go on from a checkpoint; returns losses and gradient norms of the steps taken, and CPU seconds."""
    run_module.LOG_EVERY = 1
    losses: list[float] = []
    gradients: list[float] = []
    log = run_module.Meter.read

    def read(self: run_module.Meter) -> dict[str, float]:
        values = log(self)
        losses.append(values["loss"])
        gradients.append(values["gradient_norm"])
        return values

    run_module.Meter.read = read
    started = time.process_time()
    train(recipe, out, resume=_interrupted(out))
    return {"losses": losses, "gradients": gradients, "seconds": time.process_time() - started}


def _interrupted(out: Path) -> bool:
    folder = RunFolder(out, writes=False)
    return any(path.is_dir() for path in (folder.last, out / ".last.old"))
