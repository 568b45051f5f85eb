"""Attention weights of a model as it is: inside a context, attention is computed with weights that can be looked at.

The model asks PyTorch for attention whose weights never exist as a tensor. A function mode answers in PyTorch's place,
so that the network neither knows nor changes; outside of the context it is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class AttentionWeights(TorchFunctionMode):
    """Inside, every scaled dot-product attention of this thread leaves its weights in `kept`, in the order of
    computing: each (batch, heads, L, M), part of the graph. `change(place, weights)` gives those to go on with."""

    def __init__(self, change: Callable[[int, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.kept: list[Tensor] = []
        self._change = change

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (batch, heads, L, M)
        if is_causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        weights = scores.softmax(dim=-1)
        if self._change is not None:
            weights = self._change(len(self.kept), weights)
        self.kept.append(weights)
        return weights @ v
