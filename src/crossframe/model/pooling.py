"""Attention pooling (SigLIP, PE-Core): a learned query reads a frame's tokens in place of a class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.config import PoolConfig, VisionConfig
from crossframe.model.layers import MLP, Attention, attend


class AttentionPool(nn.Module):
    """One query for all frames; its answer goes through an MLP with a residual."""

    def __init__(self, config: PoolConfig, vision: VisionConfig) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(vision.width))
        self.attention = Attention(vision.width, config.heads)
        self.norm = nn.LayerNorm(vision.width, vision.norm_eps)
        self.mlp = MLP(vision.width, config.mlp_width, vision.activation)
        nn.init.normal_(self.probe, std=vision.width**-0.5)
        for linear in (self.attention.qkv, self.attention.out, self.mlp.fc1, self.mlp.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., L, D) -> (..., D)"""
        query, _, _ = self.attention.qkv(self.probe).chunk(3, dim=-1)
        query = query.expand(*x.shape[:-2], 1, -1)  # the same for all frames
        keys, values = self.attention.keys_and_values(x).chunk(2, dim=-1)
        read = self.attention.out(attend(query, keys, values, self.attention.heads)).squeeze(-2)
        return read + self.mlp(self.norm(read))
