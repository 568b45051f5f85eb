"""Tensors on their way from the processor to the device that computes."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """`tensor` on `device`, if one is given; a GPU gets it in its turn, and nobody waits for it until then.

    Apple's GPUs are waited for: they may read memory that was given back meanwhile (pytorch/pytorch issue 189690).
    """
    place = tensor.device if device is None else torch.device(device)
    return tensor.to(place, non_blocking=place.type != "mps")
