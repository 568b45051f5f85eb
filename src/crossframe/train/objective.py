"""The loss of a batch: its tasks, and what keeps the model near the weights that training started from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.data.batch import Task, TrainBatch
from crossframe.distributed import from_all_processes
from crossframe.inference import evaluating
from crossframe.model.layers import MLP
from crossframe.model.preprocess import Preprocess, to_device
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.recipes.schema import Loss, Recipe, Train
from crossframe.weights.blending import shared_values

BEGIN_WITH = 8  # clips that the bias of a sigmoid loss begins with

Autocast = Callable[[], AbstractContextManager[object]]


class Learned(NamedTuple):
    """A batch in training: logits (B, K), embeddings of clips (B, E) and of their frames (B, T, E), and, where the text
    encoder learns, of texts (K, E)."""

    logits: Tensor
    embedding: Tensor
    frames: Tensor
    text: Tensor | None


@dataclass(slots=True)
class Objective:
    """The losses of a batch's tasks, and the terms that need the pretrained weights, where they are asked for.

    `learner` is `train.loop.Learner` in the precision of the run, which `autocast` gives to everything else.
    """

    model: XCLIP
    learner: Callable[..., Learned]
    smoothing: float
    autocast: Autocast = nullcontext
    interpolation: Interpolation | None = None
    distillation: Distillation | None = None
    loss: Loss = "softmax"

    @property
    def residual(self) -> nn.Module | None:
        """The modules that are trained beside the model and not saved with it."""
        return None if self.distillation is None else self.distillation.residual

    def __call__(
        self, video: Tensor, tokens: Tensor | None, text: Tensor | None, tasks: Sequence[Task], number: int
    ) -> Iterator[Tensor]:
        """The loss of each clip, (B,), as terms to be added; going backward from one at a time saves memory.

        `video`: (B, T, 3, S, S). The texts of all tasks come as token ids (K, L) or as features (K, E). `number`: of
        the batch in the run.
        """
        found = self.learner(video, tokens, text)
        loss = batch_loss(found.logits, tasks, self.smoothing, self.loss)
        if self.distillation is not None:
            with self.autocast():
                loss = loss + self.distillation(video, tokens, found)
        yield loss
        if self.interpolation is not None:
            moved = partial(self.interpolation.moved, self.model, number)
            logits = self.learner(video, tokens, text, moved).logits
            yield self.interpolation.weight * batch_loss(logits, tasks, self.smoothing, self.loss)


def build_objective(
    train: Train,
    model: XCLIP,
    learner: Callable[..., Learned],
    autocast: Autocast,
    pretrained: XCLIP | None = None,
) -> Objective:
    """The objective of a recipe. `pretrained`: the weights of `pretrained_source`, on the model's device.

    Draws from torch's random generator.
    """
    objective = Objective(model, learner, train.label_smoothing, autocast, loss=train.loss)
    if pretrained is not None and train.interpolate is not None:
        values, asked = pretrained_values(model, pretrained), train.interpolate
        objective.interpolation = Interpolation(values, asked.weight, asked.up_to, train.seed, asked.gradient)
    if pretrained is not None and train.distill is not None:
        with model.device:  # made there: meta tensors cannot always be moved
            kind = FrameDistillation if train.distill.form == "authors" else ClipDistillation
            objective.distillation = kind(pretrained, model, train.distill.weight)
    return objective


def pretrained_source(recipe: Recipe) -> str | None:
    """The weights that training starts from, where its objective needs them; None where it does not."""
    if recipe.train.interpolate is None and recipe.train.distill is None:
        return None
    if recipe.init is None:
        raise ValueError("train.interpolate and train.distill stay near pretrained weights; give them with --init")
    return recipe.init


def task_loss(logits: Tensor, task: Task, smoothing: float = 0.0) -> Tensor:
    """float (B, K) -> (B,): the cross-entropy of each clip, zero for clips without a target.

    A symmetric task also matches each text to its clips: the contrastive loss of language-image pretraining, in which
    all clips with the same caption count as right. The mean over texts is spread evenly over the clips, so that the
    mean of the result is the mean of both directions.
    """
    targets = to_device(task.targets, logits.device).to(logits.dtype)
    mass = targets.sum(dim=1, keepdim=True)  # 1, or 0 without a target
    rows = _cross_entropy(logits, (1 - smoothing) * targets + smoothing * mass / targets.shape[1])
    if not task.symmetric:
        return rows
    columns = targets.T / targets.sum(dim=0).clamp_min(1e-6).unsqueeze(1)  # (K, B)
    return (rows + _cross_entropy(logits.T, columns).mean()) / 2


def sigmoid_loss(logits: Tensor, task: Task) -> Tensor:
    """float (B, K) -> (B,): SigLIP's loss, in which each pair of clip and text is right or wrong by itself.

    Zero for clips without a target. Scale and bias of the logits are the model's own.
    """
    targets = to_device(task.targets, logits.device).to(logits.dtype)
    pairs = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")  # (B, K)
    return pairs.sum(dim=1) * (targets.sum(dim=1) > 0)


@torch.no_grad()
def begin_bias(model: XCLIP, batch: TrainBatch) -> None:
    """Give logits a bias with which the texts of a first batch begin as likely as they are true, on all processes.

    Logits of weights that a softmax trained have no zero of their own: SigLIP's own start, -10, would take thousands of
    steps to reach it.
    """
    clips = batch.clips.videos[:BEGIN_WITH]
    task = batch.tasks[0]
    part = (0.0, 0.0, 0)
    if len(clips):
        with evaluating(model):
            text = model.encode_text(model.tokenize(task.texts))
            logits = model.score(model.encode_video(model.prepare(clips)), text)
        part = (float(logits.sum()), float(task.targets[: len(clips)].sum()), logits.numel())
    total, right, pairs = (sum(values) for values in zip(*from_all_processes([part]), strict=True))
    share = min(max(right / max(pairs, 1), 1e-4), 1 - 1e-4)
    bias = torch.tensor(share).logit() - total / max(pairs, 1)
    model.config = replace(model.config, logit_bias=True)
    model.logit_bias = nn.Parameter(bias.to(model.logit_scale))


def batch_loss(logits: Tensor, tasks: Iterable[Task], smoothing: float = 0.0, loss: Loss = "softmax") -> Tensor:
    """Logits of all tasks side by side, (B, K1 + K2 + ...) -> the sum of their losses, (B,)."""
    total = logits.new_zeros(logits.shape[0])
    start = 0
    for task in tasks:
        stop = start + len(task.texts)
        share = logits[:, start:stop]
        total = total + (sigmoid_loss(share, task) if loss == "sigmoid" else task_loss(share, task, smoothing))
        start = stop
    return total


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, K), (B, K) -> (B,)"""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A second loss for each batch, `weight` times that of weights moved toward the pretrained ones by a fraction.

    The fraction is uniform between 0 and `up_to`, and depends on the seed and the batch's number in the run alone, so
    that a resumed run and every process draw the same. `pretrained` is what `pretrained_values` gives; `gradient` see
    `recipes.schema.Interpolate`.
    """

    pretrained: Mapping[str, Tensor]
    weight: float = 0.5
    up_to: float = 0.6
    seed: int = 0
    gradient: Literal["authors", "chain"] = "authors"

    def fraction(self, number: int) -> float:
        """How far the weights are moved for batch `number` of the run."""
        return random.Random(f"interpolate/{self.seed}/{number}").uniform(0.0, self.up_to)

    def moved(self, model: XCLIP, number: int) -> dict[str, Tensor]:
        """The moved weights by name, whose gradients reach the trained weights as `gradient` says."""
        named, fraction = dict(model.named_parameters()), self.fraction(number)
        moved = {name: torch.lerp(named[name], value, fraction) for name, value in self.pretrained.items()}
        if self.gradient == "chain":
            return moved
        # what is added is zero, and has the trained weight's gradient
        return {name: value.detach() + (named[name] - named[name].detach()) for name, value in moved.items()}


def pretrained_values(model: XCLIP, pretrained: XCLIP) -> dict[str, Tensor]:
    """The pretrained values of the parameters that are trained, by name, as far as they have any."""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: value for name, value in shared_values(model, pretrained).items() if name in trained}


class Distillation(nn.Module):
    """How far the teacher's embeddings are from the student's plus a small residual MLP of them, for each clip.

    The MLP absorbs what the student must change for video, so that the student itself need not equal the teacher. It
    adds nothing at first, is trained with the student, and is not saved with the model. Subclasses say of what.
    """

    residual: nn.Module

    def __init__(self, teacher: XCLIP, student: XCLIP, weight: float = 2.0) -> None:
        super().__init__()
        if (teacher.config.embed_dim, teacher.config.vision.image_size) != (
            student.config.embed_dim,
            student.config.vision.image_size,
        ):
            raise ValueError(
                f"the teacher embeds pictures of {teacher.config.vision.image_size} in {teacher.config.embed_dim} "
                f"dimensions, the student {student.config.vision.image_size} in {student.config.embed_dim}: "
                "train from weights of the student's size"
            )
        self.weight = weight
        self.teacher = teacher.eval().requires_grad_(False)
        scale, shift = _between(student.preprocess, teacher.preprocess)
        self.scale, self.shift = nn.Buffer(scale.view(3, 1, 1)), nn.Buffer(shift.view(3, 1, 1))

    def train(self, mode: bool = True) -> Self:
        """The teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, video: Tensor, tokens: Tensor | None, found: Learned) -> Tensor:
        """The student's input, (B, T, 3, S, S) and perhaps (K, L), and what it made of it -> losses of clips (B,)."""
        with torch.no_grad():
            wanted = self.teacher.encode_video(video * self.scale + self.shift)
        return self.weight * self.apart(wanted, tokens, found)

    def apart(self, wanted: VideoFeatures, tokens: Tensor | None, found: Learned) -> Tensor:
        """The distance of each clip, (B,)."""
        raise NotImplementedError


class FrameDistillation(Distillation):
    """As in FROSTER's code: of each frame by the image encoder, and of each text where the text encoder learns."""

    def __init__(self, teacher: XCLIP, student: XCLIP, weight: float = 2.0) -> None:
        super().__init__(teacher, student, weight)
        self.frames, self.texts = Residual(student.config.embed_dim), Residual(student.config.embed_dim)
        self.residual = nn.ModuleList([self.frames, self.texts])

    def apart(self, wanted: VideoFeatures, tokens: Tensor | None, found: Learned) -> Tensor:
        """The mean distance of the frames of each clip plus that of all texts, (B,)."""
        apart = _apart(self.frames(found.frames), wanted.frames).mean(dim=1)
        if tokens is None or found.text is None or self.teacher.text is None:
            return apart
        with torch.no_grad():
            said = self.teacher.encode_text(tokens)  # (K, E)
        return apart + _apart(self.texts(found.text), said).mean()


class Residual(nn.Module):
    """FROSTER's: a tenth of an MLP without biases is added to a unit vector."""

    SHARE = 0.1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        nn.init.kaiming_normal_(self.fc1.weight)
        nn.init.zeros_(self.fc2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., E) -> (..., E)"""
        x = F.normalize(x, dim=-1)
        return x + self.SHARE * self.fc2(F.gelu(self.fc1(x)))


class ClipDistillation(Distillation):
    """Of whole clips, after the multi-frame transformer; the MLP has biases and takes the embedding as it is."""

    def __init__(self, teacher: XCLIP, student: XCLIP, weight: float = 2.0) -> None:
        super().__init__(teacher, student, weight)
        self.residual = MLP(student.config.embed_dim, student.config.embed_dim, "gelu")
        nn.init.zeros_(self.residual.fc2.weight)
        nn.init.zeros_(self.residual.fc2.bias)

    def apart(self, wanted: VideoFeatures, tokens: Tensor | None, found: Learned) -> Tensor:
        """The distance of each clip, (B,)."""
        return _apart(found.embedding + self.residual(found.embedding), wanted.embedding)


def _apart(found: Tensor, wanted: Tensor) -> Tensor:
    """(..., E), (..., E) -> (...): 1 - cosine, in float32 at least."""
    exact = torch.promote_types(found.dtype, torch.float32)
    return 1 - F.cosine_similarity(found.to(exact), wanted.to(exact), dim=-1)


def _between(student: Preprocess, teacher: Preprocess) -> tuple[Tensor, Tensor]:
    """Factor and summand, (3,) each, that turn the student's normalized colors into the teacher's."""
    means, stds = (torch.tensor([getattr(one, name) for one in (student, teacher)]) for name in ("mean", "std"))
    return stds[0] / stds[1], (means[0] - means[1]) / stds[1]
