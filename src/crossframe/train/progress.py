"""Progress of a run, on the screen and in the log: loss, clips per second, time waiting for data, time left."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from crossframe.pace import Pace
from crossframe.train.loop import DivergedError, StepReport


@dataclass(slots=True)
class Meter:
    """Accumulates step reports between two log entries."""

    losses: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    clips: int = 0
    unreadable: int = 0
    waiting: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def add(self, report: StepReport) -> None:
        self.losses.append(report.loss)
        self.clips += report.clips
        self.unreadable += report.unreadable
        self.waiting += report.waiting
        if not report.left_out:
            self.gradients.append(report.gradient)

    def read(self) -> dict[str, float]:
        """The means since the last call.

        Raises `DivergedError` when a loss or a gradient is not a finite number: nothing after it can be of use.
        """
        losses = torch.stack(self.losses)
        gradients = torch.stack(self.gradients or [torch.tensor(float("nan"))])  # every step was left out
        for what, values in (("loss", losses), ("gradient", gradients)):
            if not values.isfinite().all():
                raise DivergedError(f"the {what} is not a finite number")
        seconds = max(1e-9, time.perf_counter() - self.since)
        values = {
            "loss": float(losses.mean()),
            "gradient_norm": float(gradients.mean()),
            "clips_per_second": self.clips / seconds,
            "waiting": self.waiting / seconds,
            "unreadable": float(self.unreadable),
        }
        self.losses, self.gradients, self.clips, self.unreadable, self.waiting = [], [], 0, 0, 0.0
        self.since = time.perf_counter()
        return values


class Bar:
    """A progress bar of optimizer steps."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", completed=done, total=total, values="")
        self._pace = Pace("steps", total, done)

    def show(self, step: int, values: dict[str, float] | None = None) -> None:
        """Steps done, and the latest means."""
        self._progress.update(self._task, completed=step)
        if values is not None:
            line = (
                f"loss {values['loss']:.3f}  {values['clips_per_second']:.0f} clips/s  "
                f"{values['waiting']:.0%} waiting for data"
            )
            self._progress.update(self._task, values=line)
            if not self._progress.console.is_terminal and (pace := self._pace.line(step)):
                self.say(f"{pace}; {line}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(done: int, total: int, *, shown: bool = True) -> Generator[Bar]:
    """A bar on standard error; where that is no terminal, only its lines appear, and without `shown` nothing."""
    columns = (
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[values]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=not shown), speed_estimate_period=120) as progress:
        yield Bar(progress, done, total)
