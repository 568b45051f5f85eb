"""An inference engine for CPUs: weights rearranged once for oneDNN, activation and residual fused into the products.

PyTorch's linear layers rearrange the weights in every call, or take a library that is slow on some CPUs, and pass over
memory again for activation and residual. The arithmetic is the same: in float32 results differ by rounding alone.
Changes to the weights after packing have no effect.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.model.beyond import GatedMLP, LayerScale, turn
from crossframe.model.cross_frame import CrossFrameBlock, Message
from crossframe.model.layers import ACTIVATIONS, ALL, MLP, Attention, Block, DropPath, Reach
from crossframe.model.video_prompt import CrossAttention, PromptLayer, VideoPrompt
from crossframe.model.xclip import XCLIP

LABELS_AT_ONCE = 512  # so that their activations stay in the CPU's cache
MANY_TOKENS = 1024  # from here on PyTorch's kernel, which never holds all scores, is faster

# oneDNN's names of the activations, and the factor that makes them ours: quick_gelu(x) = swish(1.702 x) / 1.702
_FUSED: dict[Callable[[Tensor], Tensor], tuple[str, str, float]] = {
    ACTIVATIONS["quick_gelu"]: ("swish", "", 1.702),
    ACTIVATIONS["silu"]: ("swish", "", 1.0),
    ACTIVATIONS["gelu"]: ("gelu", "none", 1.0),
    ACTIVATIONS["gelu_tanh"]: ("gelu", "tanh", 1.0),
    ACTIVATIONS["relu"]: ("relu", "", 1.0),
}
# The modules that are packed; a subclass or a replacement may compute something else.
_OURS = {
    *(Block, CrossFrameBlock, Message, Attention, MLP, DropPath, GatedMLP, LayerScale),
    *(VideoPrompt, PromptLayer, CrossAttention),
    *(nn.ModuleList, nn.Linear, nn.LayerNorm, nn.Identity),
}
M = TypeVar("M", bound=nn.Module)


def supports(model: XCLIP, dtype: torch.dtype) -> bool:
    """True if weights and processor are those that the engine is for: float32 on a CPU, where oneDNN computes in
    `dtype`."""
    mkldnn = torch.ops.mkldnn
    if model.device.type != "cpu" or any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        return False
    if not torch.backends.mkldnn.is_available() or not hasattr(mkldnn, "_linear_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and mkldnn._is_mkldnn_bf16_supported())


def foreign_part(model: XCLIP) -> str | None:
    """The first part that may compute something else than the engine would, said in words; None if there is none."""
    for place, packed in (("vision.blocks", model.vision.blocks), ("prompts", model.prompts)):
        for name, part in packed.named_modules(prefix=place) if packed else ():
            if type(part) not in _OURS:
                return f"{name}, a {type(part).__name__}"
            if any(part.__dict__[hooks] for hooks in ("_forward_pre_hooks", "_forward_hooks")):
                return f"the hooks of {name}"
    return None


def can_pack(model: XCLIP, dtype: torch.dtype) -> bool:
    """True if `pack` applies."""
    return supports(model, dtype) and foreign_part(model) is None


def pack(model: XCLIP, dtype: torch.dtype) -> XCLIP:
    """The same model with image encoder and prompts packed in `dtype`; the other parts are shared with `model`."""
    vision = with_parts(model.vision, blocks=nn.ModuleList(_PackedBlock(block, dtype) for block in model.vision.blocks))
    for name in ("patch_embed", "pre_norm", "post_norm", *(["pool"] if model.vision.pool else [])):
        vision.add_module(name, copy.deepcopy(model.vision.get_submodule(name)).to(dtype))
    for name, parameter in model.vision.named_parameters(recurse=False):
        vision.register_parameter(name, nn.Parameter(parameter.detach().to(dtype), requires_grad=False))
    packed = with_parts(model, vision=vision)
    if model.prompts is not None:
        packed.add_module("prompts", _PackedPrompts(model.prompts, dtype))
    return packed


def with_parts(module: M, **parts: nn.Module) -> M:
    """A shallow copy of `module` with some submodules replaced."""
    made = copy.copy(module)
    for kept in ("_modules", "_parameters"):
        made.__dict__[kept] = dict(module.__dict__[kept])
    for name, part in parts.items():
        made.add_module(name, part)
    return made


class PackedLinear(nn.Module):
    """activation(x weight^T + bias) + residual in one product, with the weight in oneDNN's own order."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, fused: tuple[str, str] | None = None):
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype).contiguous())
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.fused = fused or ("none", "")

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(..., D) -> (..., D')"""
        if residual is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")
        activation, algorithm = self.fused
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, activation, [], algorithm)


class _PackedMLP(nn.Module):
    """`layers.MLP` or `beyond.GatedMLP`, and the residual around it."""

    def __init__(self, mlp: MLP | GatedMLP, dtype: torch.dtype, scale: nn.Module | None = None) -> None:
        super().__init__()
        gated = isinstance(mlp, GatedMLP)
        first = mlp.gate if gated else mlp.fc1
        name, algorithm, factor = _FUSED[mlp.activation]
        self.fc1 = PackedLinear(first.weight * factor, first.bias * factor, dtype, (name, algorithm))
        self.other = PackedLinear(mlp.fc1.weight / factor, mlp.fc1.bias / factor, dtype) if gated else None
        self.norm = copy.deepcopy(mlp.norm).to(dtype) if gated else None
        weight, bias = _of_branch(mlp.fc2, scale)
        self.fc2 = PackedLinear(weight if gated else weight / factor, bias, dtype)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(..., D), (..., D) -> (..., D)"""
        hidden = self.fc1(x)
        if self.other is not None and self.norm is not None:
            hidden = self.norm(hidden * self.other(x))
        return self.fc2(hidden, residual)


class _PackedAttention(nn.Module):
    """`layers.Attention`; context tokens get queries too, which costs less than a second product."""

    def __init__(self, attention: Attention, dtype: torch.dtype, scale: nn.Module | None = None) -> None:
        super().__init__()
        self.heads = attention.heads
        self.qkv = PackedLinear(*_scaled(attention), dtype)
        self.norm = copy.deepcopy(attention.norm).to(dtype)
        self.out = PackedLinear(*_of_branch(attention.out, scale), dtype)

    def forward(
        self, x: Tensor, reach: Reach = ALL, *, context: Tensor | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """(..., L, D) -> (..., L, D)"""
        length = x.shape[-2]
        tokens = x if context is None else torch.cat([x, context], dim=-2)  # (..., L + M, D)
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        q = q[..., :length, :]
        if reach.angles is not None:
            q = turn(q, self.heads, reach.angles)
            k = torch.cat([turn(k[..., :length, :], self.heads, reach.angles), k[..., length:, :]], dim=-2)
        return self.out(self.norm(_attend(q, k, v, self.heads)), residual)


class _PackedBlock(nn.Module):
    """`layers.Block` or `cross_frame.CrossFrameBlock`."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        block = cast("Block", block)
        self.norm1, self.norm2 = (copy.deepcopy(norm).to(dtype) for norm in (block.norm1, block.norm2))
        self.attention = _PackedAttention(block.attention, dtype, block.scale1)
        self.mlp = _PackedMLP(block.mlp, dtype, block.scale2)
        self.message = _message(block.message, dtype) if isinstance(block, CrossFrameBlock) else None
        self.frames = block.frames if isinstance(block, CrossFrameBlock) else None

    def forward(self, x: Tensor, reach: Reach = ALL) -> Tensor:
        """(..., L, D) -> (..., L, D)"""
        message = None
        if self.message is not None and self.frames is not None:
            message = self.norm1(self.message(self.frames(x))).unsqueeze(2)  # (B, T, 1, D)
        x = self.attention(self.norm1(x), reach, context=message, residual=x)
        return self.mlp(self.norm2(x), x)


class _PackedPrompts(nn.Module):
    """`video_prompt.VideoPrompt`: the video's keys and values once, then the labels, some at a time."""

    def __init__(self, prompts: VideoPrompt, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.plain = prompts
        self.layers = [_PackedPromptLayer(cast("PromptLayer", layer), dtype) for layer in prompts.layers]

    def summarize(self, patches: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, N, E)"""
        return self.plain.summarize(patches)

    def forward(self, labels: Tensor, video: Tensor) -> Tensor:
        """(K, E), (B, N, E) -> (B, K, E)"""
        video = self.plain.video_norm(video).to(self.dtype)
        keys_values = [(layer.k(video), layer.v(video)) for layer in self.layers]
        parts: list[Tensor] = []
        for some in labels.split(LABELS_AT_ONCE):
            prompt = some.to(self.dtype).expand(video.shape[0], -1, -1).contiguous()
            for layer, (k, v) in zip(self.layers, keys_values, strict=True):
                prompt = layer(prompt, k, v)
            parts.append(some + self.plain.alpha * prompt)
        return torch.cat(parts, dim=1)


class _PackedPromptLayer(nn.Module):
    """`video_prompt.PromptLayer`, given the video's keys and values."""

    def __init__(self, layer: PromptLayer, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm1, self.norm2 = (copy.deepcopy(norm).to(dtype) for norm in (layer.norm1, layer.norm2))
        attention = layer.attention
        self.heads = attention.heads
        width = attention.q.weight.shape[0] // self.heads
        self.q = PackedLinear(attention.q.weight * width**-0.5, None, dtype)
        self.k, self.v = (PackedLinear(linear.weight, None, dtype) for linear in (attention.k, attention.v))
        self.out = PackedLinear(attention.out.weight, attention.out.bias, dtype)
        self.mlp = _PackedMLP(layer.mlp, dtype)

    def forward(self, labels: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, K, E), (B, N, E) twice -> (B, K, E)"""
        labels = self.out(_attend(self.q(self.norm1(labels)), k, v, self.heads), labels)
        return self.mlp(self.norm2(labels), labels)


def _message(message: Message, dtype: torch.dtype) -> Message:
    project = PackedLinear(message.project.weight, message.project.bias, dtype)
    norm = copy.deepcopy(message.norm).to(dtype)
    return with_parts(message, project=project, norm=norm, attention=_PackedAttention(message.attention, dtype))


def _of_branch(linear: nn.Linear, scale: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of the last product of a residual branch, with the branch's scale, if it has one, within."""
    if not isinstance(scale, LayerScale):
        return linear.weight, linear.bias
    return linear.weight * scale.weight.unsqueeze(1), linear.bias * scale.weight


def _scaled(attention: Attention) -> tuple[Tensor, Tensor]:
    """Weight and bias of the fused product, with attention's 1 / sqrt(head width) in the rows of the queries."""
    weight, bias = attention.qkv.weight.detach().clone(), attention.qkv.bias.detach().clone()
    width = attention.out.in_features
    for values in (weight, bias):
        values[:width] *= (width // attention.heads) ** -0.5
    return weight, bias


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """`layers.attend` of queries that are scaled already: (..., L, D), (..., M, D) -> (..., L, D)"""
    shape = q.shape
    q, k, v = (t.flatten(0, -3).unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))  # (b, heads, L, d)
    if q.dtype == torch.float32 or k.shape[2] > MANY_TOKENS:
        return F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).reshape(shape)
    out = q.new_empty(q.shape[0], q.shape[2], heads, q.shape[3])
    for i in range(q.shape[0]):  # one frame's scores stay in the CPU's cache
        out[i] = ((q[i] @ k[i].transpose(-2, -1)).softmax(dim=-1) @ v[i]).transpose(0, 1)
    return out.view(shape)
