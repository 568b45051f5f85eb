"""The pretrained text encoder: a causal transformer, read out at the end-of-text token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.config import TextConfig
from crossframe.model.layers import Block, init_clip_block, run_blocks, to_device


class TextTransformer(nn.Module):
    """CLIP's text encoder, with room for learned prompt vectors (`config.learned_vectors`)."""

    def __init__(self, config: TextConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        width = config.width
        self.token_embed = nn.Embedding(config.vocab_size, width)
        self.position = nn.Parameter(torch.empty(config.context_length, width))
        self.learned = nn.Parameter(torch.empty(config.learned_vectors, width)) if config.learned_vectors else None
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(width, config.norm_eps)
        self.projection = nn.Parameter(torch.empty(width, embed_dim))
        self._initialize()

    def _initialize(self) -> None:
        nn.init.normal_(self.token_embed.weight, std=0.02)
        nn.init.normal_(self.position, std=0.01)
        nn.init.normal_(self.projection, std=self.config.width**-0.5)
        if self.learned is not None:
            nn.init.normal_(self.learned, std=0.02)

    @property
    def max_tokens(self) -> int:
        """Tokens that a label may take, start and end included."""
        return self.config.context_length - self.config.learned_vectors

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 (K, L), zero padded -> (K, E), not normalized. On a GPU, tokens on the processor spare a wait."""
        end = tokens.argmax(dim=1)  # (K,): the end-of-text token has the largest id
        # Attention is causal, so what follows the last end token changes nothing: do not compute it. A graph that is
        # recorded, for export or compilation, cannot depend on the values of tokens and keeps all places for labels.
        recorded = torch.compiler.is_compiling()
        length = min(tokens.shape[1], self.max_tokens) if recorded else int(end.max()) + 1
        if length > self.max_tokens:
            raise ValueError(f"a label of {length} tokens does not fit into {self.max_tokens}; shorten it")
        tokens, end = (to_device(ids, self.position.device) for ids in (tokens[:, :length], end))
        x = self.token_embed(tokens)  # (K, L, W)
        if self.learned is not None:
            learned = self.learned.expand(x.shape[0], -1, -1)
            x = torch.cat([x[:, :1], learned, x[:, 1:]], dim=1)  # start, learned vectors, label, end
            end = end + self.config.learned_vectors
        x = x + self.position[: x.shape[1]]
        x = run_blocks(self.blocks, x, causal=True, grad_checkpointing=self.grad_checkpointing)
        rows = torch.arange(x.shape[0], device=x.device)
        return self.final_norm(x[rows, end]) @ self.projection


def _block(config: TextConfig) -> Block:
    block = Block(config.width, config.heads, config.mlp_width, config.activation, config.norm_eps)
    init_clip_block(block, config.layers)
    return block
