"""Idea 2, the multi-frame integration transformer (MIT): frame embeddings to one video embedding (eq. 6)."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from crossframe.model.config import MultiFrameConfig
from crossframe.model.initialize import init_new_linear
from crossframe.model.layers import Block

log = logging.getLogger(__name__)


class MultiFrameTransformer(nn.Module):
    """Adds a position in time to each frame, lets the frames attend to each other, and averages them."""

    def __init__(self, config: MultiFrameConfig, embed_dim: int, num_frames: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(num_frames, embed_dim))
        nn.init.normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(_block(config, embed_dim) for _ in range(config.layers))
        self._told: set[int] = set()  # frame counts whose interpolation was logged

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, E) -> (B, E)"""
        trained, num_frames = self.position.shape[0], frames.shape[1]
        if num_frames != trained and num_frames not in self._told:
            self._told.add(num_frames)
            log.warning("time positions of %d frames are interpolated to %d", trained, num_frames)
        x = frames + interpolate_time(self.position, num_frames)
        for block in self.blocks:
            x = block(x)
        # The authors' code adds the input once more, which eq. 6 does not show.
        return (frames + x).mean(dim=1)


def interpolate_time(position: Tensor, num_frames: int) -> Tensor:
    """(T, E) -> (num_frames, E), linear. Frames stand in the middle of their segments, as in sparse sampling."""
    if num_frames == position.shape[0]:
        return position
    return nn.functional.interpolate(position.T.unsqueeze(0), size=num_frames, mode="linear").squeeze(0).T


def _block(config: MultiFrameConfig, embed_dim: int) -> Block:
    block = Block(embed_dim, config.heads, config.mlp_width, config.activation, config.norm_eps)
    nn.init.xavier_uniform_(block.attention.qkv.weight)
    nn.init.zeros_(block.attention.qkv.bias)
    for linear in (block.attention.out, block.mlp.fc1, block.mlp.fc2):
        init_new_linear(linear)
    return block
