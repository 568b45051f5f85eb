"""A model sharded over processes (FSDP2), and gathered again to be tested or saved.

Each process keeps a shard of every trained parameter, of its gradient and of the optimizer's state; the parameters of a
block are gathered while it computes. Frozen parameters, without gradient and optimizer state, are replicated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from crossframe.distributed import Processes
from crossframe.model.layers import Block
from crossframe.model.xclip import XCLIP


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard the trained parameters of `module` over the processes of `mesh`, block by block, in place."""
    processes = mesh["data_parallel"]
    # a scalar, the scale of the logits, cannot be sharded
    kept = {parameter for parameter in module.parameters() if not parameter.requires_grad or not parameter.dim()}
    for part in module.modules():
        if isinstance(part, Block) and any(parameter.requires_grad for parameter in part.parameters()):
            fully_shard(part, mesh=processes, ignored_params=kept)
    fully_shard(module, mesh=processes, ignored_params=kept)
    return module


def is_sharded(model: nn.Module) -> bool:
    """True if parameters of `model` are sharded over processes."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def gradient_norm(gradients: Sequence[Tensor], processes: Processes) -> Tensor:
    """The norm of all gradients together, of which some are sharded over `processes`."""
    squares = torch.zeros(2, device=gradients[0].device)  # of replicated gradients, and of this process's shards
    for gradient in gradients:
        local = gradient.to_local() if isinstance(gradient, DTensor) else gradient
        squares[int(isinstance(gradient, DTensor))] += local.square().sum()
    processes.sum_tensors([squares[1:]])
    return squares.sum().sqrt()


def full(values: Any) -> Any:
    """The same values with sharded tensors gathered, all on the CPU; all processes must call this together."""
    if isinstance(values, DTensor):
        values = values.full_tensor().detach()
    if isinstance(values, Tensor):
        return values.cpu()
    if isinstance(values, dict):
        return {name: full(value) for name, value in values.items()}
    return [full(value) for value in values] if isinstance(values, list) else values


def shard_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A full tensor, sharded as `parameter` is."""
    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)


def full_model(model: XCLIP) -> XCLIP:
    """A copy with full parameters, on the same device; all processes must call this together."""
    with torch.device("meta"):
        copy = XCLIP(model.config, tokenizer=model.tokenizer, preprocess=model.preprocess)
    tensors = {name: full(tensor).to(model.device) for name, tensor in model.state_dict().items()}
    copy.load_state_dict(tensors, assign=True)
    copy.taught = model.taught
    return copy


@torch.no_grad()
def shard_state(optimizer: Optimizer) -> None:
    """Shard an optimizer's state as its parameters are, after full tensors were loaded."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and not isinstance(value, DTensor):
                values[name] = shard_like(value, parameter)
