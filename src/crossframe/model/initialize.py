"""The starting values of weights, where nobody supplies them: CLIP's rule, and that of X-CLIP's authors."""

from __future__ import annotations

from torch import nn

from crossframe.model.beyond import GatedMLP
from crossframe.model.layers import Block


def init_clip_block(block: Block, layers: int) -> None:
    """CLIP's own initialization for training from scratch: residual branches shrink with the depth of the tower."""
    width = block.attention.out.in_features
    nn.init.normal_(block.attention.qkv.weight, std=width**-0.5)
    nn.init.normal_(block.attention.out.weight, std=(2 * layers * width) ** -0.5)
    nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
    nn.init.normal_(block.mlp.fc2.weight, std=(2 * layers * width) ** -0.5)
    if isinstance(block.mlp, GatedMLP):
        nn.init.normal_(block.mlp.gate.weight, std=(2 * width) ** -0.5)
    for linear in (block.attention.qkv, block.attention.out, *block.mlp.children()):
        if isinstance(linear, nn.Linear):
            nn.init.zeros_(linear.bias)


def init_new_linear(linear: nn.Linear) -> None:
    """The authors' initialization of what CLIP does not supply: truncated normal 0.02, zero bias."""
    for parameter in linear.parameters():
        _ = nn.init.trunc_normal_(parameter, std=0.02) if parameter.dim() > 1 else nn.init.zeros_(parameter)
