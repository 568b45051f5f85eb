"""Idea 3, video-specific prompts: label embeddings attend to the video before they are compared with it (eq. 10)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.config import PromptConfig
from crossframe.model.initialize import init_new_linear
from crossframe.model.layers import MLP, attend


class CrossAttention(nn.Module):
    """Multi-head attention from labels to a video; queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, labels: Tensor, video: Tensor) -> Tensor:
        """(B, K, E), (B, N, E) -> (B, K, E)"""
        return self.out(attend(self.q(labels), self.k(video), self.v(video), self.heads))


class PromptLayer(nn.Module):
    """c = c + CrossAttention(LN(c), z, z); c = c + FFN(LN(c))"""

    def __init__(self, config: PromptConfig, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, config.norm_eps)
        self.attention = CrossAttention(width, config.heads)
        self.norm2 = nn.LayerNorm(width, config.norm_eps)
        self.mlp = MLP(width, config.mlp_width, config.activation)

    def forward(self, labels: Tensor, video: Tensor) -> Tensor:
        """(B, K, E), (B, N, E) -> (B, K, E)"""
        labels = labels + self.attention(self.norm1(labels), video)
        return labels + self.mlp(self.norm2(labels))


class VideoPrompt(nn.Module):
    """Summarizes a clip's patch tokens once, then lets any number of labels attend to the summary."""

    def __init__(self, config: PromptConfig, vision_width: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_norm = nn.LayerNorm(vision_width, config.norm_eps)
        self.patch_projection = nn.Parameter(torch.empty(vision_width, embed_dim))
        self.video_norm = nn.LayerNorm(embed_dim, config.norm_eps)
        self.layers = nn.ModuleList(PromptLayer(config, embed_dim) for _ in range(config.layers))
        self.alpha = nn.Parameter(torch.full((embed_dim,), config.alpha))
        nn.init.normal_(self.patch_projection)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                init_new_linear(module)

    def summarize(self, patches: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, N, E): normalized, averaged over frames, projected to the joint space."""
        # The projection is linear, so the mean can come first: T times fewer products than in the authors' order.
        return self.patch_norm(patches.to(self.alpha.dtype)).mean(dim=1) @ self.patch_projection

    def forward(self, labels: Tensor, video: Tensor) -> Tensor:
        """(K, E), (B, N, E) -> (B, K, E): label embeddings adapted to each video."""
        video = self.video_norm(video)  # once, outside the layers
        prompt = labels.expand(video.shape[0], -1, -1)  # (B, K, E)
        for layer in self.layers:
            prompt = layer(prompt, video)
        return labels + self.alpha * prompt  # eq. 10
