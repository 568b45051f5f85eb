"""The loop: one visible step, repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from crossframe.data.question import Lesson, Question
from crossframe.model.xclip import XCLIP
from crossframe.train.average import AveragedWeights
from crossframe.train.learner import Sentences
from crossframe.train.objective import Objective
from crossframe.train.pictures import Pictures
from crossframe.train.processes import Processes
from crossframe.train.schedule import Schedule
from crossframe.train.shard import divide_state, gradient_norm, is_sharded, like, whole, whole_model


class DivergedError(ValueError):
    """The loss is not a number any more."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did, all processes together: its number, its mean loss (on the device), the gradient's norm before
    clipping, clips learnt from and clips that could not be read; seconds in all and those spent waiting for data; and
    whether a process was asked to stop."""

    step: int
    loss: Tensor
    gradient: Tensor
    clips: int
    unreadable: int
    seconds: float
    waiting: float
    stopping: bool = False


@dataclass(slots=True)
class Loop:
    """Everything that a step touches. `next_step` counts from 0 and is all that resuming needs beside the tensors."""

    fabric: Fabric
    model: XCLIP
    objective: Objective
    optimizers: list[Optimizer]
    schedule: Schedule
    pictures: Pictures
    sentences: Sentences
    average: AveragedWeights | None
    clip_norm: float | None
    seed: int
    processes: Processes = field(default_factory=Processes)
    next_step: int = 0

    def run(self, lessons: Iterator[Lesson], stopping: Callable[[], bool] = lambda: False) -> Iterator[StepReport]:
        """Train to the end of the schedule, a report after each step. `lessons` begin where `next_step` is.

        `stopping` tells whether this process was asked to stop; the report says whether any was.
        """
        parts = filter(None, (self.model, self.objective.residual))
        parameters = [p for part in parts for p in part.parameters() if p.requires_grad]
        sharded = is_sharded(self.model)
        taken = self.schedule.batches_of(self.next_step).start
        while self.next_step < self.schedule.steps:
            step, started, clock = self.next_step, time.perf_counter(), _Waiting()
            if not self.model.training:
                self.model.train()
            # Random numbers depend on the step and the process alone, so a resumed run draws the same.
            torch.manual_seed(self.seed * 1_000_003 + step + (self.processes.rank << 40))
            self._set_rates(step)
            total, clips, unreadable = torch.zeros((), device=self.fabric.device), 0, 0
            numbers = self.schedule.batches_of(step)
            for _ in islice(lessons, numbers.start - taken):
                pass  # the official schedule drops what is left of an epoch
            taken = numbers.stop
            for number, lesson in zip(numbers, clock.watch(islice(lessons, len(numbers))), strict=True):
                unreadable += len(lesson.batch.failures)
                video, questions = self.pictures(lesson, number)  # (B, T, 3, S, S)
                if not len(lesson):
                    if not sharded:
                        continue
                    video, questions = _nothing(video, questions)  # the others need this process's part of the weights
                tokens, text = self.sentences([sentence for question in questions for sentence in question.texts])
                for loss in self.objective(video, tokens, text, questions, number):
                    loss = loss.sum() * bool(lesson)
                    self.fabric.backward(loss)
                    total = total + loss.detach()
                clips += len(lesson)
            clips, unreadable, stops = self.processes.add_up(clips, unreadable, stopping())
            # Batches and processes add up, then the sum is divided once: several small batches do exactly what a large
            # one does.
            self._add_up(total, parameters, clips)
            gradient = self._clip(parameters)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            if self.average is not None:
                self.average.update()
            self.next_step += 1
            seconds = time.perf_counter() - started
            yield StepReport(
                step, total / max(1, clips), gradient, clips, unreadable, seconds, clock.seconds, stops > 0
            )

    def _add_up(self, total: Tensor, parameters: list[nn.Parameter], clips: int) -> None:
        """Sums of losses and of gradients over processes; gradients become those of the mean loss of all `clips`."""
        if not clips:
            return
        if self.processes.world > 1:
            for parameter in parameters:
                if parameter.grad is None:  # this process had no clip
                    parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        divided = [gradient for gradient in gradients if isinstance(gradient, DTensor)]
        self.processes.add_up_tensors([total, *(g for g in gradients if not isinstance(g, DTensor))])
        for gradient in divided:  # added up already, and divided by the number of processes
            gradient.mul_(self.processes.world)
        if clips > 1:
            for gradient in gradients:
                gradient.div_(clips)

    def _clip(self, parameters: list[nn.Parameter]) -> Tensor:
        """The norm of the gradients, which are scaled down to `clip_norm` where it is larger."""
        limit = self.clip_norm or float("inf")
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not is_sharded(self.model):
            return nn.utils.clip_grad_norm_(parameters, limit)
        norm = gradient_norm(gradients, self.processes)
        for gradient in gradients:
            gradient.mul_((limit / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def _set_rates(self, step: int) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.schedule.rate(step, group["base"], group["minimum"])

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the model that is saved: weights as they are, optimisers, averages, place.

        Whole, also where processes divide the model; then all of them must ask at once.
        """
        state = {
            "next_step": self.next_step,
            # a copy, for `final_model` puts other weights into the model
            "weights": {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": None if self.average is None else self.average.state_dict(),
            "residual": None if self.objective.residual is None else self.objective.residual.state_dict(),
        }
        return whole(state)

    @contextmanager
    def final_model(self) -> Generator[XCLIP]:
        """The model that is tested and saved: whole, with the averaged weights where there are any."""
        with nullcontext() if self.average is None else self.average.applied():
            yield whole_model(self.model) if is_sharded(self.model) else self.model

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        named = dict(self.model.named_parameters())
        for name, weight in state["weights"].items():
            named[name].copy_(like(weight, named[name]))
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
            divide_state(optimizer)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.objective.residual is not None:
            self.objective.residual.load_state_dict(state["residual"])
        self.next_step = state["next_step"]


class _Waiting:
    """Adds up the time that passes before each item comes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, items: Iterator[Lesson]) -> Iterator[Lesson]:
        while True:
            started = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - started
            if item is None:
                return
            yield item


def _nothing(video: Tensor, questions: Sequence[Question]) -> tuple[Tensor, list[Question]]:
    """A black clip that is asked nothing: its loss is zero, and so is its gradient."""
    clip = video.new_zeros(1, *video.shape[1:])
    return clip, [replace(question, targets=torch.zeros(1, len(question.texts))) for question in questions]
