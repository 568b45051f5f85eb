"""Fabric for a run: device, precision, and the processes that torchrun has started."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision.amp import MixedPrecision
from lightning_fabric.plugins.precision.precision import Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import nn

from crossframe.distributed import TIMEOUT, check_gpus
from crossframe.inference import Precision as Chosen
from crossframe.inference import choose_precision
from crossframe.processes import launched
from crossframe.recipes.schema import Recipe, Train
from crossframe.train.fsdp import shard

log = logging.getLogger(__name__)

PRECISIONS: dict[str, Literal["16-mixed", "bf16-mixed"]] = {"float16": "16-mixed", "bfloat16": "bf16-mixed"}


class Replicas(DDPStrategy):
    """Data parallelism in which the loop itself sums the gradients, once a step and always in the same order.

    torch's own wrapper changes its order after the first step, so that a resumed run would not get the same bits, and
    it waits forever for a process that has no clip to learn from.
    """

    def setup_module(self, module: nn.Module) -> nn.Module:  # pyright: ignore[reportIncompatibleMethodOverride]
        for tensor in module.state_dict().values():
            torch.distributed.broadcast(tensor, 0)
        return module


def check_processes(train: Train) -> None:
    """Raise ValueError, in one line, where the batch or the GPUs cannot be shared by the processes there are."""
    _, world = launched()
    check_gpus()
    if train.batch_size % world:
        raise ValueError(
            f"train.batch_size is {train.batch_size} over {world} processes; use a multiple of {world}, "
            "it counts the clips of all of them"
        )


def launch(train: Train, loggers: list[Logger]) -> Fabric:
    """Fabric on this process's device, connected to the other processes."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets every process
    rank, world = launched()
    if rank > 0:  # every message once
        logging.getLogger("crossframe").setLevel(logging.ERROR)
    local = int(os.environ["LOCAL_WORLD_SIZE"]) if world > 1 else 1
    precision = choose_precision(train.precision, _device())
    fabric = Fabric(
        accelerator="auto",
        strategy=_strategy(train, world),
        devices=local,
        num_nodes=world // local,
        # Without torchrun it is one process, even under a cluster's scheduler.
        plugins=[_plugin(precision), TorchElasticEnvironment() if world > 1 else LightningEnvironment()],
        loggers=loggers,
    )
    fabric.launch()
    kind, fast = fabric.device.type, choose_precision("auto", fabric.device)
    if precision == "bfloat16" and fast != "bfloat16" and kind != "mps":  # which nothing is known about
        name = "GPU" if kind == "cuda" else "processor"
        log.warning("this %s has no bfloat16 of its own and imitates it, slowly; set train.precision=%s", name, fast)
    return fabric


def with_precision(recipe: Recipe) -> Recipe:
    """The recipe with the precision that `auto` is on this process's device, or the same one."""
    chosen = choose_precision(recipe.train.precision, _device())
    return replace(recipe, train=replace(recipe.train, precision=chosen))


def _device() -> torch.device:
    """Where Fabric will compute."""
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def _plugin(precision: Chosen) -> Precision:
    """The precision of Fabric. The loop scales losses of float16 (`optimizer.LossScale`), not Fabric."""
    if precision == "float32":
        return Precision()
    device = _device().type
    scaler = torch.amp.GradScaler(device, enabled=False) if precision == "float16" else None
    return MixedPrecision(PRECISIONS[precision], device, scaler)


def _strategy(train: Train, world: int) -> Strategy | str:
    if world == 1:
        return "auto"
    if train.strategy == "fsdp":
        return ModelParallelStrategy(shard, data_parallel_size=world, tensor_parallel_size=1, timeout=TIMEOUT)
    return Replicas(timeout=TIMEOUT)
