"""A model divided over processes (FSDP2), and put together again where it is tested or saved.

Each process keeps a part of every learning parameter, of its gradient and of the optimiser's state; a block's
parameters come together when the block computes. What is frozen stays whole everywhere: it has neither gradient nor
optimiser.
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

from crossframe.model.layers import Block
from crossframe.model.xclip import XCLIP
from crossframe.train.processes import Processes


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Divide the learning parameters of `module` over the processes of `mesh`, block by block, in place."""
    processes = mesh["data_parallel"]
    # a scalar, the scale of the logits, cannot be divided
    kept = {parameter for parameter in module.parameters() if not parameter.requires_grad or not parameter.dim()}
    for part in module.modules():
        if isinstance(part, Block) and any(parameter.requires_grad for parameter in part.parameters()):
            fully_shard(part, mesh=processes, ignored_params=kept)
    fully_shard(module, mesh=processes, ignored_params=kept)
    return module


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters of `model` are divided over processes."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def gradient_norm(gradients: Sequence[Tensor], processes: Processes) -> Tensor:
    """The norm of all gradients together, of which some are divided over `processes`."""
    squares = torch.zeros(2, device=gradients[0].device)  # of what is whole, and of this process's parts
    for gradient in gradients:
        part = gradient.to_local() if isinstance(gradient, DTensor) else gradient
        squares[int(isinstance(gradient, DTensor))] += part.square().sum()
    processes.add_up_tensors([squares[1:]])
    return squares.sum().sqrt()


def whole(values: Any) -> Any:
    """The same values with divided tensors put together, in main memory; all processes must ask at once."""
    if isinstance(values, DTensor):
        return values.full_tensor().detach().cpu()
    if isinstance(values, dict):
        return {name: whole(value) for name, value in values.items()}
    return [whole(value) for value in values] if isinstance(values, list) else values


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, divided as `parameter` is."""
    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)


def whole_model(model: XCLIP) -> XCLIP:
    """A copy with whole parameters, on the same device; all processes must ask at once."""
    with torch.device("meta"):
        copy = XCLIP(model.config, tokenizer=model.tokenizer, preprocess=model.preprocess)
    tensors = {name: whole(tensor).to(model.device) for name, tensor in model.state_dict().items()}
    copy.load_state_dict(tensors, assign=True)
    return copy


@torch.no_grad()
def divide_state(optimizer: Optimizer) -> None:
    """Divide the state of an optimiser as its parameters are, after whole tensors were loaded."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and not isinstance(value, DTensor):
                values[name] = like(value, parameter)
