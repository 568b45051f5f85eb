"""The loop itself against the authors' code: three steps of training, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from crossframe.data.batch import Batch, Task, TrainBatch
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Rates
from crossframe.train.loop import Learner, Loop, TextCache
from crossframe.train.objective import Objective
from crossframe.train.optimizer import build_optimizers, freeze
from crossframe.train.schedule import Schedule
from crossframe.train.transform import TrainTransform
from crossframe.weights.convert import their_names
from crossframe.weights.tables import OPENAI
from tests.model.by_rule import ByRule, read_by_rule

LABELS = tuple("abcde")


@pytest.fixture(scope="module")
def case() -> ByRule:
    return read_by_rule(Path(__file__).parents[1] / "golden")


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    """Fabric hands a model's output over in torch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def train_batch(case: ByRule, rows: Sequence[int]) -> TrainBatch:
    targets = torch.tensor(case.expected["training"]["soft_targets"], dtype=torch.float64)[list(rows)]
    places = torch.tensor(rows)
    batch = Batch(torch.zeros(len(rows), 1, 3, 1, 1, dtype=torch.uint8), torch.zeros_like(places), places)
    return TrainBatch(batch, (Task("label", LABELS, targets),))


def make_loop(case: ByRule, model: XCLIP, accumulate: int, *, text: bool) -> Loop:
    """The paper's groups and rates; inputs are the case's own, and rates stay as they are, as in its record."""
    freeze(model, vision=True, text=text)
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    optimizers = build_optimizers(model, Rates(final=1.0))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["minimum"] = group["base"]
    tokens = case.tokens

    def transform(batch: TrainBatch, number: int) -> tuple[Tensor, tuple[Task, ...]]:
        return case.video[batch.clips.indices], batch.tasks

    def texts(texts: Sequence[str]) -> tuple[Tensor | None, Tensor | None]:
        return (tokens, None) if text else (None, model.encode_text(tokens).detach())

    return Loop(
        fabric=fabric,
        model=model,
        objective=Objective(model, fabric.setup_module(Learner(model)), smoothing=0.0),
        optimizers=optimizers,
        schedule=Schedule(3, accumulate, accumulate=accumulate),
        transform=cast("TrainTransform", transform),
        texts=cast("TextCache", texts),
        average=None,
        clip_norm=None,
        seed=0,
    )


@pytest.mark.parametrize("grad_checkpointing", [False, True], ids=["kept", "computed again"])
@pytest.mark.parametrize("batches", [[(0, 1, 2)], [(0, 1), (2,)]], ids=["whole", "in parts"])
@pytest.mark.parametrize("text", [False, True], ids=["text frozen", "all trained"])
def test_three_steps(case: ByRule, text: bool, batches: list[tuple[int, ...]], grad_checkpointing: bool) -> None:
    model = case.model().train()
    assert model.text is not None
    model.vision.grad_checkpointing = model.text.grad_checkpointing = grad_checkpointing
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loop = make_loop(case, model, len(batches), text=text)
    reports = list(loop.run(iter([train_batch(case, rows) for _ in range(3) for rows in batches])))
    expected = case.expected["all_trained" if text else "text_frozen"]
    losses = [report.loss.item() for report in reports]
    assert losses == pytest.approx(expected["loss_soft_steps_0_to_3"][:3], rel=1e-7)
    for name, parameter in model.named_parameters():
        norm = expected["update_norm_after_3_steps"].get(their_names(name, OPENAI)[0], 0.0)
        assert (parameter - before[name]).norm().item() == pytest.approx(norm, rel=1e-7), name
