"""The loop: one visible step, repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.func import functional_call
from torch.optim import Optimizer

from crossframe.data.batch import Task, TrainBatch
from crossframe.distributed import Processes
from crossframe.inference import encode_texts
from crossframe.model.xclip import XCLIP
from crossframe.train.fsdp import full, full_model, gradient_norm, is_sharded, shard_like, shard_state
from crossframe.train.objective import Learned, Objective
from crossframe.train.optimizer import AveragedWeights, LossScale
from crossframe.train.schedule import Schedule
from crossframe.train.transform import TrainTransform


class DivergedError(ValueError):
    """The loss is not a number any more."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """The outcome of a step, over all processes: its number, its mean loss (on the device), the gradient's norm before
    clipping, clips trained on and clips that could not be read, seconds in all and seconds spent waiting for data, and
    whether any process was asked to stop. Of a step that was `left_out`, the gradients do not count."""

    step: int
    loss: Tensor
    gradient: Tensor
    clips: int
    unreadable: int
    seconds: float
    waiting: float
    stopping: bool = False
    left_out: bool = False


@dataclass(slots=True)
class Loop:
    """Everything that a step touches. Beside the tensors, resuming needs `next_step` alone, which counts from 0."""

    fabric: Fabric
    model: XCLIP
    objective: Objective
    optimizers: list[Optimizer]
    schedule: Schedule
    transform: TrainTransform
    texts: TextCache
    average: AveragedWeights | None
    clip_norm: float | None
    seed: int
    processes: Processes = field(default_factory=Processes)
    scale: LossScale | None = None  # in float16
    next_step: int = 0

    def run(self, batches: Iterator[TrainBatch], stopping: Callable[[], bool] = lambda: False) -> Iterator[StepReport]:
        """Train to the end of the schedule, with a report after each step. `batches` begin where `next_step` is.

        `stopping` tells whether this process was asked to stop, the report whether any process was.
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
            for _ in islice(batches, numbers.start - taken):
                pass  # the authors' schedule drops an epoch's incomplete last step
            taken = numbers.stop
            for number, batch in zip(numbers, clock.watch(islice(batches, len(numbers))), strict=True):
                unreadable += len(batch.clips.failures)
                video, tasks = self.transform(batch, number)  # (B, T, 3, S, S)
                if not len(batch):
                    if not sharded:
                        continue
                    video, tasks = _dummy(video, tasks)  # the other processes need this one's shard of the weights
                tokens, text = self.texts([text for task in tasks for text in task.texts])
                for loss in self.objective(video, tokens, text, tasks, number):
                    loss = loss.sum() * bool(batch)
                    self.fabric.backward(loss if self.scale is None else loss * self.scale.factor)
                    total = total + loss.detach()
                clips += len(batch)
            clips, unreadable, stops = self.processes.sum(clips, unreadable, stopping())
            # Sums over batches and processes are divided once: several small batches do exactly what a large one does.
            self._reduce(total, parameters, clips)
            gradient = self._clip(parameters)
            fits = self.scale is None or self.scale.fits(gradient)
            for optimizer in self.optimizers:
                if fits:
                    optimizer.step()
                optimizer.zero_grad()
            if self.average is not None and fits:
                self.average.update()
            self.next_step += 1
            seconds = time.perf_counter() - started
            yield StepReport(
                step, total / max(1, clips), gradient, clips, unreadable, seconds, clock.seconds, stops > 0, not fits
            )

    def _reduce(self, total: Tensor, parameters: list[nn.Parameter], clips: int) -> None:
        """Sum losses and gradients over processes; gradients become those of the mean loss of all `clips`."""
        if not clips:
            return
        if self.processes.world > 1:
            for parameter in parameters:
                if parameter.grad is None:  # this process had no clip
                    parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.processes.sum_tensors([total, *(g for g in gradients if not isinstance(g, DTensor))])
        for gradient in gradients:
            if isinstance(gradient, DTensor):  # FSDP has summed it already, and divided it by the number of processes
                gradient.mul_(self.processes.world)
        divisor = clips * (1.0 if self.scale is None else self.scale.factor)
        if divisor > 1:
            for gradient in gradients:
                gradient.div_(divisor)

    def _clip(self, parameters: list[nn.Parameter]) -> Tensor:
        """The norm of the gradients, which are scaled down to `clip_norm` if it is larger."""
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
        """The state that a checkpoint has beside the saved model: weights in training, optimizers, averages, the step.

        All tensors are full ones, on the CPU. Where the model is sharded, all processes must call this together.
        """
        state = {
            "next_step": self.next_step,
            "batches": self.schedule.batches,
            # a copy, since `final_model` swaps other weights into the model
            "weights": {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": None if self.average is None else self.average.state_dict(),
            "residual": None if self.objective.residual is None else self.objective.residual.state_dict(),
        }
        if self.scale is not None:
            state["scale"] = self.scale.state_dict()
        return full(state)

    def sizes(self) -> tuple[int, int]:
        """About how many bytes a checkpoint takes, with what resuming needs and without."""
        model = sum(p.numel() * p.element_size() for p in self.model.parameters())
        learning = sum(p.numel() * p.element_size() for p in self.model.parameters() if p.requires_grad)
        copies = 3 + (self.average is not None)  # the weights in training, two moments, and the mean
        return model + copies * learning, model

    @contextmanager
    def final_model(self) -> Generator[XCLIP]:
        """The model that is tested and saved: unsharded, with the averaged weights if there are any."""
        with nullcontext() if self.average is None else self.average.applied():
            yield full_model(self.model) if is_sharded(self.model) else self.model

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        named = dict(self.model.named_parameters())
        for name, weight in state["weights"].items():
            named[name].copy_(shard_like(weight, named[name]))
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
            shard_state(optimizer)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.objective.residual is not None:
            self.objective.residual.load_state_dict(state["residual"])
        if self.scale is not None:
            self.scale.load_state_dict(state["scale"])
        self.next_step = state["next_step"]


class _Waiting:
    """Adds up the time spent waiting for items."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, items: Iterator[TrainBatch]) -> Iterator[TrainBatch]:
        while True:
            started = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - started
            if item is None:
                return
            yield item


def _dummy(video: Tensor, tasks: Sequence[Task]) -> tuple[Tensor, list[Task]]:
    """A black clip without targets, whose loss and gradient are zero."""
    clip = video.new_zeros(1, *video.shape[1:])
    return clip, [replace(task, targets=torch.zeros(1, len(task.texts))) for task in tasks]


class Learner(nn.Module):
    """The one module that precision and data parallelism wrap."""

    def __init__(self, model: XCLIP) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        video: Tensor,
        tokens: Tensor | None,
        text: Tensor | None,
        weights: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> Learned:
        """float (B, T, 3, S, S) with token ids (K, L), or with text features (K, E) -> logits and what they are of.

        `weights` gives tensors, by parameter name, to be used in place of the model's own. It is a function because
        Fabric lowers the precision of tensors that it is passed.
        """
        if weights is not None:
            own = {f"model.{name}": weight for name, weight in weights().items()}
            return functional_call(self, own, (video, tokens, text))
        features = self.model.encode_video(video)
        encoded = None if tokens is None else self.model.encode_text(tokens)
        logits = self.model.score(features, text if encoded is None else encoded)
        return Learned(logits, features.embedding, features.frames, encoded)


class TextCache:
    """Token ids where the text encoder is trained, features where it is frozen; each text is computed once.

    Token ids stay on the processor: how long the longest text is would have to be asked of a GPU, and waited for.
    """

    def __init__(self, model: XCLIP) -> None:
        self._model = model
        self._trains_text = model.text is not None and any(p.requires_grad for p in model.text.parameters())
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
        """Token ids (K, L) or features (K, E), the other being None; neither for a model with a linear head."""
        if self._model.text is None:
            return None, None
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            self._known.update(zip(new, self._compute(new), strict=True))
        rows = torch.stack([self._known[text] for text in texts])
        return (rows, None) if self._trains_text else (None, rows)

    @torch.no_grad()
    def _compute(self, texts: list[str]) -> Tensor:
        if self._trains_text:
            return self._model.tokenize(texts, device="cpu")
        return encode_texts(self._model, texts)
