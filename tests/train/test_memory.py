"""What a step is said to cost, against what it does cost."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from crossframe.data.batch import Task
from crossframe.model.config import ModelConfig, variant
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Distill, Interpolate, Rates, Train
from crossframe.train.loop import Learner
from crossframe.train.memory import BatchSize, multiply_accumulates, parameters, step_memory
from crossframe.train.objective import Learned, Objective, build_objective
from crossframe.train.optimizer import AveragedWeights, build_optimizers, freeze

TOLERANCE = 0.02
CPU = torch.device("cpu")
WAYS: dict[str, Any] = {"interpolate": Interpolate(), "distill": Distill()}


@pytest.fixture
def model(tiny_config: ModelConfig) -> XCLIP:
    vision = replace(tiny_config.vision, image_size=64, width=64, mlp_width=256, layers=3)
    return XCLIP(replace(tiny_config, vision=vision)).train()


def make_objective(model: XCLIP, asked: Train, pretrained: XCLIP | None = None) -> Objective:
    """What a real step computes."""
    learner = Learner(model)

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=asked.precision == "bfloat16")

    def in_precision(*inputs: Any) -> Learned:
        with autocast():
            found = learner(*inputs)
        return Learned(*(None if tensor is None else tensor.float() for tensor in found))

    return build_objective(asked, model, in_precision, autocast, pretrained)


def step(objective: Objective, asked: Train, batch: BatchSize) -> None:
    """Forward and backward as the loop does them."""
    model = objective.model
    size, frames = model.config.vision.image_size, model.config.num_frames
    for _ in range(asked.accumulate):
        video = torch.randn(batch.clips, frames, 3, size, size)
        learns = model.text is not None and model.text.projection.requires_grad
        tokens = torch.arange(batch.tokens).repeat(batch.texts, 1) if learns else None
        text = None if learns else torch.randn(batch.texts, model.config.embed_dim)
        targets = torch.rand(batch.clips, batch.texts)
        task = Task("label", tuple(map(str, range(batch.texts))), targets)
        for loss in objective(video, tokens, text, (task,), 0):
            loss.sum().backward()


def measured_peak(objective: Objective, asked: Train, batch: BatchSize) -> int:
    """What torch's own allocator hands out during a step, at its peak."""
    step(objective, asked, batch)
    for part in filter(None, (objective.model, objective.residual)):
        part.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(objective, asked, batch)
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize(
    ("changes", "learn"),
    [
        ({"precision": "float32"}, ("vision",)),
        ({"precision": "bfloat16"}, ("vision",)),
        ({"precision": "bfloat16", "accumulate": 2}, ("vision",)),
        ({"precision": "float32"}, ("vision", "text")),
        ({"precision": "bfloat16"}, ()),
        ({"precision": "bfloat16", "checkpoint_blocks": True}, ("vision", "text")),
    ],
)
def test_the_memory_of_a_step_is_what_torch_hands_out(
    model: XCLIP, changes: dict[str, Any], learn: tuple[str, ...]
) -> None:
    asked = Train(epochs=9, batch_size=3, **changes)
    batch = BatchSize(clips=3, texts=20, tokens=6)
    freeze(model, vision="vision" in learn, text="text" in learn)
    model.vision.grad_checkpointing = model.text.grad_checkpointing = asked.checkpoint_blocks  # pyright: ignore
    estimate = step_memory(model, asked, batch, CPU)
    assert estimate.passes == pytest.approx(measured_peak(make_objective(model, asked), asked, batch), rel=TOLERANCE)
    assert estimate.weights == sum(p.nbytes for p in model.parameters())
    assert estimate.total == estimate.weights + estimate.optimizer + estimate.passes


@pytest.mark.parametrize(
    ("ways", "precision"),
    [(("interpolate",), "bfloat16"), (("distill",), "float32"), (("interpolate", "distill"), "bfloat16")],
)
def test_the_memory_of_what_stays_near_the_pretrained_weights_is_counted(
    model: XCLIP, ways: tuple[str, ...], precision: str
) -> None:
    alone = Train(epochs=9, batch_size=3, precision=precision)
    asked = replace(alone, **{way: WAYS[way] for way in ways})
    batch = BatchSize(clips=3, texts=20, tokens=6)
    freeze(model, vision=True, text=False)
    pretrained = deepcopy(model)
    plain, estimate = step_memory(model, alone, batch, CPU), step_memory(model, asked, batch, CPU, pretrained)
    objective = make_objective(model, asked, pretrained)
    assert estimate.passes == pytest.approx(measured_peak(objective, asked, batch), rel=TOLERANCE)
    kept = [*model.parameters()]
    if objective.interpolation is not None:
        kept += objective.interpolation.pretrained.values()
        assert estimate.passes > plain.passes  # the moved weights
    if objective.distillation is not None:
        kept += [*objective.distillation.parameters(), *objective.distillation.buffers()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    assert estimate.weights == sum(storages.values())
    residual = [] if objective.residual is None else objective.residual.parameters()
    assert estimate.optimizer == plain.optimizer + 2 * sum(p.nbytes for p in residual)


@pytest.mark.parametrize("muon", [None, 1e-3])
def test_the_memory_of_optimizers_and_averages_is_what_they_keep(model: XCLIP, muon: float | None) -> None:
    rates = Rates(muon=muon)
    asked = Train(epochs=9, batch_size=1, average=0.9, rates=rates, precision="float32")
    freeze(model, vision=True, text=False)
    estimate = step_memory(model, asked, BatchSize(1, 3, 6), CPU)
    optimizers = build_optimizers(model, rates)
    average = AveragedWeights(model, 0.9)
    step(make_objective(model, asked), asked, BatchSize(1, 3, 6))
    kept = 0
    for optimizer in optimizers:
        optimizer.step()
        states = [value for state in optimizer.state.values() for value in state.values()]
        kept += sum(value.nbytes for value in states if isinstance(value, Tensor) and value.dim() > 0)
    assert estimate.optimizer == kept + sum(tensor.nbytes for tensor in average.mean.values())


def test_memory_grows_with_clips_and_is_less_where_less_learns(model: XCLIP) -> None:
    asked = Train(epochs=9, batch_size=1, precision="float32")
    freeze(model, vision=True, text=True)
    both = step_memory(model, asked, BatchSize(2, 20, 6), CPU)
    freeze(model, vision=True, text=False)
    # with fewer clips the peak comes later, when gradients outweigh activations
    two, four, six, eight = (step_memory(model, asked, BatchSize(clips, 20, 6), CPU) for clips in (2, 4, 6, 8))
    assert eight.passes - six.passes == pytest.approx(six.passes - four.passes, rel=TOLERANCE)
    freeze(model, vision=False, text=False)
    neither = step_memory(model, asked, BatchSize(2, 20, 6), CPU)
    assert both.total > two.total > neither.total


def test_multiply_accumulates_are_just_below_the_authors(golden: Path) -> None:
    cases = json.loads((golden / "flops.json").read_text())["cases"]
    assert len(cases) == 7
    for case, counts in cases.items():
        name, frames = case.rsplit("_", 1)
        with torch.device("meta"):
            model = XCLIP(variant(name, int(frames[:-1])))
        assert 0.992 < multiply_accumulates(model, 400) / 1e9 / counts["total_gmacs_with_cached_text"] < 0.998
        freeze(model, vision=True, text=False)
        learning, frozen = parameters(model)
        assert learning + frozen == sum(p.numel() for p in model.parameters())
        assert frozen == 1 + sum(p.numel() for p in model.text.parameters())  # pyright: ignore


def test_joint_attention_costs_what_the_paper_says() -> None:
    """184: prompts join, the multi-frame transformer does not."""
    plain = variant("B/16", 8)
    with torch.device("meta"):
        model = XCLIP(replace(plain, vision=replace(plain.vision, mixing="joint"), mit=None))
    assert multiply_accumulates(model, 400) / 1e9 == pytest.approx(184, rel=0.006)
