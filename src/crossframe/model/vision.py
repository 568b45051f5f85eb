"""The pretrained image encoder: a ViT over the frames of a clip, whose blocks mix frames by `config.mixing`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.config import VisionConfig
from crossframe.model.cross_frame import CrossFrameBlock
from crossframe.model.layers import Block, init_clip_block, run_blocks


class VisionTransformer(nn.Module):
    """CLIP's ViT (or an ImageNet one), applied to every frame."""

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        width, patch = config.width, config.patch_size
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch, bias=config.patch_bias)
        self.class_token = nn.Parameter(torch.empty(width))
        self.position = nn.Parameter(torch.empty(1 + config.grid**2, width))  # the class token's, then row by row
        self.pre_norm = nn.LayerNorm(width, config.norm_eps) if config.pre_norm else nn.Identity()
        # stochastic depth rises linearly from 0 in the first block to drop_path in the last
        rates = [config.drop_path * i / max(1, config.layers - 1) for i in range(config.layers)]
        self.blocks = nn.ModuleList(_block(config, rate) for rate in rates)
        self.post_norm = nn.LayerNorm(width, config.norm_eps)
        self.projection = nn.Parameter(torch.empty(width, embed_dim))
        self._initialize()

    def _initialize(self) -> None:
        std = self.config.width**-0.5
        for parameter in (self.class_token, self.position, self.projection):
            nn.init.normal_(parameter, std=std)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, H, W) -> class embeddings (B, T, E) in the joint space, patch tokens (B, T, N, D)."""
        clips, frames = video.shape[:2]
        patches = self.patch_embed(video.flatten(0, 1)).flatten(2).transpose(1, 2)  # (B T, N, D)
        class_token = self.class_token.expand(patches.shape[0], 1, -1)
        x = torch.cat([class_token, patches], dim=1) + self.position  # (B T, L, D), L = 1 + N
        x = self.pre_norm(x).unflatten(0, (clips, frames))  # (B, T, L, D)
        if self.config.mixing == "joint":
            x = x.flatten(1, 2)  # (B, T L, D): every token attends to all tokens of all frames
        x = run_blocks(self.blocks, x, grad_checkpointing=self.grad_checkpointing)
        if self.config.mixing == "joint":
            x = x.unflatten(1, (frames, -1))
        return self.post_norm(x[:, :, 0]) @ self.projection, x[:, :, 1:]


def _block(config: VisionConfig, drop_path: float) -> Block:
    if config.mixing == "cross_frame":
        block: Block = CrossFrameBlock(config, drop_path)
    else:
        block = Block(config.width, config.heads, config.mlp_width, config.activation, config.norm_eps, drop_path)
    init_clip_block(block, config.layers)
    return block
