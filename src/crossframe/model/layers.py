"""The parts that every tower shares: attention, MLP, pre-norm block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from crossframe.model.beyond import GatedMLP, LayerScale, turn
from crossframe.model.config import Activation, BlockKind


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": F.silu,
    "relu": F.relu,
}


class Reach(NamedTuple):
    """Which tokens a token attends to: those before it alone if `causal`, and those that count in `mask`, bool
    (batch, 1, 1, M). `angles`: of rotary positions (`beyond.angles`)."""

    causal: bool = False
    mask: Tensor | None = None
    angles: Tensor | None = None


ALL = Reach()


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, reach: Reach = ALL) -> Tensor:
    """Scaled dot-product attention: q (..., L, D), k and v (..., M, D) -> (..., L, D), over any leading dimensions."""
    lead = q.shape[:-2]
    # the fused kernels want exactly (batch, heads, tokens, head width)
    q, k, v = (t.unflatten(-1, (heads, -1)).flatten(0, -4).transpose(1, 2) for t in (q, k, v))
    # In bfloat16 on the CPU, the backward pass of PyTorch's kernel is several times slower than plain products.
    if q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu":
        out = _attend_plainly(q, k, v, reach)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=reach.mask, is_causal=reach.causal)
    return out.transpose(1, 2).flatten(-2).unflatten(0, lead)


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, reach: Reach) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (batch, heads, L, M)
    if reach.causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    if reach.mask is not None:
        scores = scores.masked_fill(~reach.mask, float("-inf"))
    return scores.softmax(dim=-1, dtype=torch.float32).to(v.dtype) @ v


class Attention(nn.Module):
    """Multi-head self-attention with one fused product for queries, keys and values."""

    def __init__(self, width: int, heads: int, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.norm = norm or nn.Identity()  # EVA-02's
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, reach: Reach = ALL, *, context: Tensor | None = None) -> Tensor:
        """(..., L, D) -> (..., L, D). `context` (..., M, D): more tokens to attend to, without queries or places."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if reach.angles is not None:
            q, k = turn(q, self.heads, reach.angles), turn(k, self.heads, reach.angles)
        if context is not None:
            more_k, more_v = self.keys_and_values(context).chunk(2, dim=-1)
            k, v = torch.cat([k, more_k], dim=-2), torch.cat([v, more_v], dim=-2)  # (..., L + M, D)
        return self.out(self.norm(attend(q, k, v, self.heads, reach)))

    def keys_and_values(self, context: Tensor) -> Tensor:
        """(..., M, D) -> (..., M, 2D), without the queries that nobody asks for."""
        width = context.shape[-1]
        if type(self.qkv) is not nn.Linear:  # an adapter around it, which adds to the product
            return self.qkv(context)[..., width:]
        return F.linear(context, self.qkv.weight[width:], self.qkv.bias[width:])


class MLP(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)"""
        return self.fc2(self.activation(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch for a whole sample (dimension 0) with probability `rate`."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0  # the image encoder sets it by depth

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep)
        return x * mask / keep


class Block(nn.Module):
    """A pre-norm transformer block. `kind`: see `VisionConfig.block`."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        activation: Activation,
        norm_eps: float,
        kind: BlockKind = "plain",
    ) -> None:
        super().__init__()
        gated, scaled = kind == "gated", kind == "scaled"
        self.norm1 = nn.LayerNorm(width, norm_eps)
        self.attention = Attention(width, heads, nn.LayerNorm(width, norm_eps) if gated else None)
        self.scale1 = LayerScale(width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, norm_eps)
        self.mlp = MLP(width, mlp_width, activation)
        if gated:
            self.mlp = GatedMLP(width, mlp_width, ACTIVATIONS[activation], norm_eps)
        self.scale2 = LayerScale(width) if scaled else nn.Identity()
        self.drop_path = DropPath()

    def forward(self, x: Tensor, reach: Reach = ALL) -> Tensor:
        """(..., L, D) -> (..., L, D)"""
        x = x + self.drop_path(self.scale1(self.attention(self.norm1(x), reach)))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))


def project(x: Tensor, matrix: Tensor | None, bias: Tensor | None) -> Tensor:
    """(..., D) -> (..., E), into the joint space; without a matrix, the tower's own space is the joint one."""
    x = x if matrix is None else x @ matrix
    return x if bias is None else x + bias


def run_blocks(blocks: nn.ModuleList, x: Tensor, reach: Reach = ALL, *, grad_checkpointing: bool = False) -> Tensor:
    """All blocks in turn, (..., L, D) -> (..., L, D).

    `grad_checkpointing` keeps only the input of each block and computes the rest again for the gradient: the same
    numbers, with less memory and a third more time.
    """
    for block in blocks:
        again = grad_checkpointing and torch.is_grad_enabled()
        x = checkpoint(block, x, reach, use_reentrant=False) if again else block(x, reach)
    return x
