"""Idea 1, cross-frame attention: the frames of a clip exchange information through message tokens (eq. 7-9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.config import VisionConfig
from crossframe.model.layers import ALL, Attention, Block, DropPath, Reach
from crossframe.model.multi_frame import interpolate_time


class Message(nn.Module):
    """One message token for each frame, which attends to the messages of all frames.

    In the paper messages have no position in time, so that without the multi-frame transformer nothing in the model
    knows the order of frames. With `message_frames` they have one, which starts at zero, where it changes nothing.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        self.attention = Attention(config.width, config.heads)
        self.drop_path = DropPath()
        frames = config.message_frames
        self.position = nn.Parameter(torch.zeros(frames, config.width)) if frames else None
        # The authors keep PyTorch's own initialization here: Xavier for the fused product, the default for the others.
        nn.init.xavier_uniform_(self.attention.qkv.weight)
        nn.init.zeros_(self.attention.qkv.bias)
        nn.init.zeros_(self.attention.out.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        message = self.project(frames)  # m_t, from the class token of frame t
        if self.position is not None:
            message = message + interpolate_time(self.position, message.shape[1]).to(message.dtype)
        return message + self.drop_path(self.attention(self.norm(message)))  # eq. 7, CFA: attention over T


class CrossFrameBlock(Block):
    """A pretrained block of the ViT in which the tokens of each frame also attend to that frame's message."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__(config.width, config.heads, config.mlp_width, config.activation, config.norm_eps, config.block)
        self.message = Message(config)
        self.first_patch = config.first_tokens if config.message_from == "patches" else None

    def frames(self, x: Tensor) -> Tensor:
        """(B, T, L, D) -> (B, T, D): what messages are made of, the class token or the mean of the patches."""
        return x[:, :, 0] if self.first_patch is None else x[:, :, self.first_patch :].mean(dim=2)

    def forward(self, x: Tensor, reach: Reach = ALL) -> Tensor:
        """(B, T, L, D) -> (B, T, L, D)"""
        # The message's own output would be dropped, so it gives a key and a value but no query.
        message = self.norm1(self.message(self.frames(x))).unsqueeze(2)  # (B, T, 1, D)
        x = x + self.drop_path(self.scale1(self.attention(self.norm1(x), reach, context=message)))  # eq. 8, IFA
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))  # eq. 9
