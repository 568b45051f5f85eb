"""The parts that every tower shares: attention, MLP, pre-norm block, drop path, positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from crossframe.model.config import Activation


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
}


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """Scaled dot-product attention: q (..., L, D), k and v (..., M, D) -> (..., L, D), over any leading dimensions."""
    lead = q.shape[:-2]
    # the fused kernels want exactly (batch, heads, tokens, head width)
    q, k, v = (t.unflatten(-1, (heads, -1)).flatten(0, -4).transpose(1, 2) for t in (q, k, v))
    # In bfloat16 on the CPU, the backward pass of PyTorch's kernel is several times slower than plain products.
    slow = q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu"
    out = _attend_plainly(q, k, v, causal) if slow else F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return out.transpose(1, 2).flatten(-2).unflatten(0, lead)


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (batch, heads, L, M)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(dim=-1, dtype=torch.float32).to(v.dtype) @ v


class Attention(nn.Module):
    """Multi-head self-attention with one fused product for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, *, context: Tensor | None = None, causal: bool = False) -> Tensor:
        """(..., L, D) -> (..., L, D). `context` (..., M, D): more tokens to attend to, without queries."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if context is not None:
            more_k, more_v = self._keys_and_values(context).chunk(2, dim=-1)
            k, v = torch.cat([k, more_k], dim=-2), torch.cat([v, more_v], dim=-2)  # (..., L + M, D)
        return self.out(attend(q, k, v, self.heads, causal=causal))

    def _keys_and_values(self, context: Tensor) -> Tensor:
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

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep)
        return x * mask / keep


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        activation: Activation,
        norm_eps: float,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, norm_eps)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, norm_eps)
        self.mlp = MLP(width, mlp_width, activation)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """(..., L, D) -> (..., L, D)"""
        x = x + self.drop_path(self.attention(self.norm1(x), causal=causal))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def interpolate_time(position: Tensor, num_frames: int) -> Tensor:
    """(T, E) -> (num_frames, E), linear. Frames stand in the middle of their segments, as in sparse sampling."""
    if num_frames == position.shape[0]:
        return position
    return F.interpolate(position.T.unsqueeze(0), size=num_frames, mode="linear").squeeze(0).T


def interpolate_grid(position: Tensor, grid: int) -> Tensor:
    """(1 + N, D) -> (1 + grid * grid, D), bicubic. The class token's place comes first and stays as it is."""
    side = math.isqrt(position.shape[0] - 1)
    if side == grid:
        return position
    places = position[1:].T.unflatten(1, (side, side)).unsqueeze(0)  # (1, D, side, side)
    # Smoothing when the grid shrinks, as for images; at least float32, since half precision lacks the kernel.
    exact = places.to(torch.promote_types(places.dtype, torch.float32))
    places = F.interpolate(exact, (grid, grid), mode="bicubic", align_corners=False, antialias=grid < side)
    return torch.cat([position[:1], places.squeeze(0).flatten(1).T.to(position.dtype)])


def run_blocks(blocks: nn.ModuleList, x: Tensor, *, causal: bool = False, grad_checkpointing: bool = False) -> Tensor:
    """All blocks in turn, (..., L, D) -> (..., L, D).

    `grad_checkpointing` keeps only the input of each block and computes the rest again for the gradient: the same
    numbers, with less memory and a third more time.
    """
    for block in blocks:
        step = partial(block, causal=True) if causal else block
        x = checkpoint(step, x, use_reentrant=False) if grad_checkpointing and torch.is_grad_enabled() else step(x)
    return x


def init_clip_block(block: Block, layers: int) -> None:
    """CLIP's own initialisation for training from scratch: residual branches shrink with the depth of the tower."""
    width = block.attention.out.in_features
    nn.init.normal_(block.attention.qkv.weight, std=width**-0.5)
    nn.init.normal_(block.attention.out.weight, std=(2 * layers * width) ** -0.5)
    nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
    nn.init.normal_(block.mlp.fc2.weight, std=(2 * layers * width) ** -0.5)
    for linear in (block.attention.qkv, block.attention.out, block.mlp.fc1, block.mlp.fc2):
        nn.init.zeros_(linear.bias)


def init_new_linear(linear: nn.Linear) -> None:
    """The authors' initialisation of what CLIP does not supply: truncated normal 0.02, zero bias."""
    for parameter in linear.parameters():
        _ = nn.init.trunc_normal_(parameter, std=0.02) if parameter.dim() > 1 else nn.init.zeros_(parameter)


def to_device(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """`tensor` on `device`, if one is given; a GPU gets it in its turn, and nobody waits for it until then.

    Apple's GPUs are waited for: they may read memory that was given back meanwhile (pytorch/pytorch issue 189690).
    """
    target = tensor.device if device is None else torch.device(device)
    return tensor.to(target, non_blocking=target.type != "mps")
