"""The pretrained image encoder: a ViT over the frames of a clip, whose blocks mix frames by `config.mixing`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from crossframe.model.beyond import angles, conv_stem, positions_for
from crossframe.model.config import VisionConfig
from crossframe.model.cross_frame import CrossFrameBlock
from crossframe.model.initialize import init_clip_block
from crossframe.model.layers import Block, DropPath, Reach, project, run_blocks
from crossframe.model.pooling import AttentionPool


class VisionTransformer(nn.Module):
    """CLIP's ViT (or that of another family), applied to every frame."""

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        width, patch = config.width, config.patch_size
        patches = nn.Conv2d(3, width, patch, stride=patch, bias=config.patch_bias)
        self.patch_embed = conv_stem(config.stem_widths, width) if config.stem_widths else patches
        self.class_token = None if config.class_token == "none" else nn.Parameter(torch.empty(width))
        self.registers = nn.Parameter(torch.empty(config.registers, width)) if config.registers else None
        places = (config.class_token == "placed") + config.grid**2  # the class token's, then row by row
        self.position = nn.Parameter(torch.empty(places, width))
        self.pre_norm = nn.LayerNorm(width, config.norm_eps) if config.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.layers))
        self.set_drop_path(config.drop_path)
        self.post_norm = nn.LayerNorm(width, config.norm_eps)
        self.pool = AttentionPool(config.pool, config) if config.pool else None
        self.projection = None if config.projection == "none" else nn.Parameter(torch.empty(width, embed_dim))
        self.projection_bias = nn.Parameter(torch.zeros(embed_dim)) if config.projection == "biased" else None
        self._told: set[int] = set()  # grids whose interpolation was logged
        std = width**-0.5
        for parameter in (self.class_token, self.position, self.projection, self.registers):
            if parameter is not None:
                nn.init.normal_(parameter, std=std)

    def set_drop_path(self, rate: float) -> None:
        """Stochastic depth, which rises linearly from 0 in the first block to `rate` in the last."""
        self.config = replace(self.config, drop_path=rate)
        for depth, block in enumerate(self.blocks):
            for module in block.modules():
                if isinstance(module, DropPath):
                    module.rate = rate * depth / max(1, len(self.blocks) - 1)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S) -> class embeddings (B, T, E) in the joint space, patch tokens (B, T, N, D)."""
        config, (clips, frames), grid = self.config, video.shape[:2], video.shape[-1] // self.config.patch_size
        position = self.position if grid == config.grid else positions_for(grid, self.position, config, self._told)
        x = self._tokens(video.flatten(0, 1), position)  # (B T, L, D), L = 1 + N
        x = self.pre_norm(x).unflatten(0, (clips, frames))  # (B, T, L, D)
        turns = None
        if config.rotary != "none":
            turns = angles(config.rotary, grid, config.first_tokens, config.width // config.heads, x)
        if config.mixing == "joint":
            x = x.flatten(1, 2)  # (B, T L, D): every token attends to all tokens of all frames
            turns = None if turns is None else turns.repeat(1, frames, 1, 1)
        x = run_blocks(self.blocks, x, Reach(angles=turns), grad_checkpointing=self.grad_checkpointing)
        if config.mixing == "joint":
            x = x.unflatten(1, (frames, -1))
        read = self.post_norm(x[:, :, 0]) if self.pool is None else self.pool(self.post_norm(x))
        return project(read, self.projection, self.projection_bias), x[:, :, config.first_tokens :]

    def _tokens(self, pictures: Tensor, position: Tensor) -> Tensor:
        """(B, 3, S, S), (places, D) -> (B, L, D): class token, registers and patches, with their positions."""
        x = self.patch_embed(pictures).flatten(2).transpose(1, 2)  # (B, N, D)
        if self.config.class_token != "placed":
            x = x + position
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(x.shape[0], 1, -1), x], dim=1)
        if self.config.class_token == "placed":
            x = x + position
        if self.registers is not None:
            x = torch.cat([x[:, :1], self.registers.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1)
        return x


def _block(config: VisionConfig) -> Block:
    if config.mixing == "cross_frame":
        block: Block = CrossFrameBlock(config)
    else:
        sizes = config.width, config.heads, config.mlp_width
        block = Block(*sizes, config.activation, config.norm_eps, config.block)
    init_clip_block(block, config.layers)
    return block
