"""The cost of a training step, and its peak memory, known before the first one.

The step runs on fake tensors, which have a size and a device but no values. So the memory counted is that of torch's
tensors, alive at the same moments as in a real step; kernels' workspace and CUDA's own memory come on top.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from crossframe.data.batch import Task
from crossframe.inference import DTYPES, choose_precision
from crossframe.model.xclip import XCLIP
from crossframe.pace import figure
from crossframe.processes import memory_quota
from crossframe.recipes.schema import FileData, Recipe, Train
from crossframe.train.loop import Learner
from crossframe.train.objective import Learned, Objective, build_objective
from crossframe.train.optimizer import groups
from crossframe.train.source import build_source


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of a step with the recipe's batch, and with a single clip; `free` is what the device has left, None
    where it does not tell."""

    batch: Memory
    one: Memory
    accumulate: int
    processes: int
    free: int | None

    @property
    def each(self) -> float:
        """Bytes for each further clip: memory grows linearly with their number."""
        return (self.batch.total - self.one.total) / max(1, self.batch.clips - 1)

    @property
    def fitting(self) -> int:
        """Clips that fit at a time, 0 if not even one does."""
        if self.free is None or self.batch.total <= self.free:
            return self.batch.clips
        return max(0, 1 + math.floor((self.free - self.one.total) / max(1.0, self.each)))

    @property
    def needs(self) -> str:
        """How much a step takes, and for what, in words."""
        batch = self.batch
        return (
            f"{_size(batch.total)} for {batch.clips} clips at a time: weights {_size(batch.weights)}, optimizer "
            f"{_size(batch.optimizer)}, gradients and activations {_size(batch.passes)}"
        )

    @property
    def room(self) -> str:
        """A sentence that says if it fits, and what to do where it does not."""
        if self.free is None:
            return "the device does not say how much is free"
        clips, free = self.batch.clips, f"{_size(self.free)} are free"
        if self.fitting == clips:
            return free
        fits = max((size for size in range(1, self.fitting + 1) if clips % size == 0), default=0)
        if not fits:
            return f"{free}, too little for a single clip, which takes {_size(self.one.total)}"
        size, more = fits * self.processes, self.accumulate * clips // fits
        return f"{free}, enough for {fits}: set train.batch_size={size} and train.accumulate={more}"


def estimate_memory(
    recipe: Recipe,
    model: XCLIP,
    labels: Sequence[str],
    device: torch.device,
    processes: int = 1,
    pretrained: XCLIP | None = None,
) -> Estimate:
    """The memory of a training step in one of `processes`, with these labels, on `device`.

    `model` and `pretrained` (see `train.objective.pretrained_source`) may be on other devices.
    """
    batch, one = (
        step_memory(model, recipe.train, batch_of(model, labels, clips), device, pretrained)
        for clips in (math.ceil(recipe.train.batch_size / processes), 1)
    )
    free = free_memory(device)
    if free is not None and model.device.type == device.type:
        free += batch.weights  # they are loaded already
    return Estimate(batch, one, recipe.train.accumulate, processes, free)


@contextmanager
def told_when_full(train: Train) -> Generator[None]:
    """Inside, a GPU whose memory is full is a ValueError of one line that says what to set."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU's memory is full with train.batch_size={train.batch_size}; take a smaller one and a larger "
            "train.accumulate, which trains alike, or train.checkpoint_blocks=true (--dry-run says what would fit)"
        ) from error


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free; None where the device does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known, group = Path("/proc/meminfo"), memory_quota()
    if device.type != "cpu" or not known.is_file():
        return None
    lines = (line.split() for line in known.read_text(encoding="ascii").splitlines())
    free = next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)
    return free if free is None or group is None else min(free, group.left)


def drawn_texts(recipe: Recipe, model: XCLIP) -> tuple[str, ...]:
    """The texts of the first batch, where batches are generated."""
    if isinstance(recipe.data, FileData):
        raise ValueError(f"recipe '{recipe.name}' has clips in files, whose labels are known without a batch")
    one = replace(recipe, data=replace(recipe.data, test_clips=1))
    batch = next(build_source(one, model, None).batches(0, 1))
    return tuple(text for task in batch.tasks for text in task.texts)


def _size(count: float) -> str:
    """Bytes in readable units.

    >>> _size(245_577_455_624), _size(1_052_008), _size(779_716_612)
    ('246 GB', '1.05 MB', '780 MB')
    """
    unit, name = (1e9, "GB") if count >= 1e9 else (1e6, "MB")
    return f"{figure(count / unit)} {name}"


READ_NUMBER = torch.ops.aten._local_scalar_dense.default


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak of a step with `clips` clips: weights; the optimizer's state and averaged weights; and
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
    longest = batch.tokens if model.text is None else min(batch.tokens, model.text.max_tokens)
    with FakeTensorMode(allow_non_fake_inputs=True), _MemoryCounter(longest) as counter:
        objective = _objective(model, train, device, pretrained)
        before = counter.now
        for _ in range(min(train.accumulate, 2)):  # the second batch finds the gradients of the first
            _pass(objective, batch)
    return Memory(batch.clips, before, _optimizer_bytes(objective, train), counter.peak - before)


def step_flops(model: XCLIP, train: Train, batch: BatchSize, pretrained: XCLIP | None = None) -> int:
    """Floating-point operations of a step, forward and backward: those of `multiply_accumulates`, doubled, and of the
    words. Models may be on the meta device."""
    longest = batch.tokens if model.text is None else min(batch.tokens, model.text.max_tokens)
    with (
        sdpa_kernel(SDPBackend.MATH),  # whose products are counted
        FakeTensorMode(allow_non_fake_inputs=True),
        _MemoryCounter(longest),
        FlopCounterMode(display=False) as counter,
    ):
        _pass(_objective(model, train, torch.device("cpu"), pretrained), batch)
    return counter.get_total_flops()


def batch_of(model: XCLIP, labels: Sequence[str], clips: int) -> BatchSize:
    """So many clips among these labels."""
    tokens = 0
    if model.tokenizer is not None and model.text is not None:
        ids = model.tokenizer(labels)
        tokens = ids.shape[1] if model.text.config.attends_padding else int(model.text.ends(ids).max()) + 1
    return BatchSize(clips, len(labels), tokens)


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
    """The objective of a step, under the precision that Fabric would give it."""
    fake = _fake(model, device)
    learner, dtype = Learner(fake), DTYPES[choose_precision(train.precision, device)]

    def autocast() -> torch.autocast:
        lower = dtype != torch.float32
        return torch.autocast(device.type, dtype if lower else None, enabled=lower)

    def in_precision(*inputs: Any) -> Learned:
        with autocast():
            found = learner(*inputs)
        logits, embedding, frames, text = found
        return Learned(logits.float(), embedding.float(), frames.float(), None if text is None else text.float())

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
