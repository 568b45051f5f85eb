"""What a training step costs: multiply-accumulates, parameters, and peak memory, without computing it.

The step runs on fake tensors, which have a size and a device but no values. So the memory counted is that of torch's
tensors, alive at the same moments as in a real step; kernels' workspace and CUDA's own memory come on top.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from crossframe.data.batch import Task
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Train
from crossframe.train.learner import Learner
from crossframe.train.objective import Objective, build_objective
from crossframe.train.optimizer import groups

READ_NUMBER = torch.ops.aten._local_scalar_dense.default


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak of a step with `clips` clips: weights; the optimiser's state and averaged weights; and
    gradients
    and activations that are alive at the same time."""

    clips: int
    weights: int
    optimizer: int
    passes: int

    @property
    def total(self) -> int:
        return self.weights + self.optimizer + self.passes


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Clips, texts to classify them among, and tokens of the longest text."""

    clips: int
    texts: int
    tokens: int


def multiply_accumulates(model: XCLIP, labels: int) -> int:
    """Multiply-accumulates for one clip among `labels` labels, counted as in the paper: linear layers, convolutions and
    attention products, with the labels' features precomputed. `model` is on the meta device."""
    size = model.config.vision.image_size
    video = torch.empty(1, model.config.num_frames, 3, size, size, device="meta")
    text = torch.empty(labels, model.config.embed_dim, device="meta") if model.text else None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features = model.encode_video(video)
        if labels:
            model.score(features, text)
    return counter.get_total_flops() // 2  # the counter takes a multiplication and an addition for two


def parameters(model: XCLIP) -> tuple[int, int]:
    """The numbers of trained and of frozen parameters."""
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return learning, sum(p.numel() for p in model.parameters()) - learning


def step_memory(
    model: XCLIP, train: Train, batch: BatchSize, device: torch.device, pretrained: XCLIP | None = None
) -> Memory:
    """The memory of one process that trains on `device` with `batch` at a time.

    `model` may be on any device, the meta device too; what is frozen in it counts as frozen. `pretrained`, on any
    device as well: see `train.objective.pretrained_source`.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), _MemoryCounter(longest=batch.tokens) as counter:
        objective = _objective(model, train, device, pretrained)
        before = counter.now
        for _ in range(min(train.accumulate, 2)):  # the second batch finds the gradients of the first
            _pass(objective, batch)
    return Memory(batch.clips, before, _optimizer_bytes(objective, train), counter.peak - before)


def _fake(model: XCLIP, device: torch.device) -> XCLIP:
    """A model of the same sizes on `device` whose parameters are fake tensors, in the mode that is active."""
    with torch.device("meta"):
        fake = XCLIP(model.config).train()
    for name, p in model.named_parameters():
        owner, _, own = name.rpartition(".")
        values = torch.empty(p.shape, dtype=p.dtype, device=device)
        setattr(fake.get_submodule(owner), own, nn.Parameter(values, requires_grad=p.requires_grad))
    fake.vision.grad_checkpointing = model.vision.grad_checkpointing
    if fake.text is not None and model.text is not None:
        fake.text.grad_checkpointing = model.text.grad_checkpointing
    return fake


def _objective(model: XCLIP, train: Train, device: torch.device, pretrained: XCLIP | None) -> Objective:
    """What a step computes, under the precision that Fabric would give it."""
    fake = _fake(model, device)
    learner, bfloat16 = Learner(fake), train.precision == "bfloat16"

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)

    def in_precision(*inputs: Any) -> tuple[Tensor, Tensor]:
        with autocast():
            logits, embedding = learner(*inputs)
        return logits.float(), embedding.float()

    near = None if pretrained is None else _fake(pretrained, device)
    return build_objective(train, fake, in_precision, autocast, near)


def _pass(objective: Objective, batch: BatchSize) -> None:
    """Forward and backward of a batch."""
    model, device = objective.model, objective.model.device
    size, frames = model.config.vision.image_size, model.config.num_frames
    video = torch.empty(batch.clips, frames, 3, size, size, device=device)
    tokens = text = None
    if model.text is not None and any(p.requires_grad for p in model.text.parameters()):
        tokens = torch.empty(batch.texts, batch.tokens, dtype=torch.int64, device=device)
    elif model.text is not None:
        text = torch.empty(batch.texts, model.config.embed_dim, device=device)
    classes = model.config.num_classes or batch.texts
    task = Task("label", tuple(map(str, range(classes))), torch.empty(batch.clips, classes, device=device))
    for loss in objective(video, tokens, text, (task,), 0):
        loss.sum().backward()


def _optimizer_bytes(objective: Objective, train: Train) -> int:
    """AdamW keeps two values for each trained parameter, Muon one, and averaging another."""
    named = dict(objective.model.named_parameters())
    total = 0
    for group in groups(objective.model):
        copies = 1 if train.rates.muon is not None and group.matrix else 2
        copies += train.average is not None
        total += copies * sum(named[name].nbytes for name in group.names)
    residual = () if objective.residual is None else objective.residual.parameters()
    return total + 2 * sum(parameter.nbytes for parameter in residual)


class _MemoryCounter(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and their peak, in what runs inside."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._longest = longest
        self._sizes: dict[int, int] = {}  # of storages, which views share

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is READ_NUMBER:  # the only value that the model reads from a tensor: where the longest text ends
            return self._longest - 1
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata  # pyright: ignore[reportPrivateUsage] - the identity of what views share
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)
