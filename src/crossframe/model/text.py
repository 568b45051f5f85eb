"""The pretrained text encoder: a transformer, in CLIP a causal one that is read out at the end-of-text token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossframe.model.beyond import sines
from crossframe.model.config import TextConfig
from crossframe.model.initialize import init_clip_block
from crossframe.model.layers import Block, Reach, project, run_blocks
from crossframe.model.preprocess import to_device


class TextTransformer(nn.Module):
    """CLIP's text encoder (or that of another family), with room for learned vectors (`config.learned_vectors`)."""

    def __init__(self, config: TextConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.grad_checkpointing = False
        width = config.width
        self.token_embed = nn.Embedding(config.vocab_size, width)
        learned = config.positions == "learned"
        self.position = nn.Parameter(torch.empty(config.context_length, width)) if learned else None
        self.learned = nn.Parameter(torch.empty(config.learned_vectors, width)) if config.learned_vectors else None
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(width, config.norm_eps)
        self.projection = None if config.projection == "none" else nn.Parameter(torch.empty(width, embed_dim))
        self.projection_bias = nn.Parameter(torch.zeros(embed_dim)) if config.projection == "biased" else None
        projection_std = width**-0.5
        drawn = ((self.position, 0.01), (self.projection, projection_std), (self.learned, 0.02))
        for parameter, std in ((self.token_embed.weight, 0.02), *drawn):
            if parameter is not None:
                nn.init.normal_(parameter, std=std)

    @property
    def max_tokens(self) -> int:
        """Tokens that a label may take, start and end included."""
        return self.config.context_length - self.config.learned_vectors

    def ends(self, tokens: Tensor) -> Tensor:
        """int64 (K, L) -> (K,): the place of each text's last token before the padding."""
        match self.config.read:
            case "largest":
                return tokens.argmax(dim=1)  # the end-of-text token has the largest id
            case "end" | "last":
                return (tokens == self.config.end_id).int().argmax(dim=1)
            case "mean":
                return (tokens != 0).sum(dim=1).sub(1).clamp_min(0)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 (K, L), padded -> (K, E), not normalized. On a GPU, tokens on the processor spare a wait."""
        config = self.config
        end = self.ends(tokens)  # (K,)
        # Attention is causal, so what follows the last end token changes nothing: do not compute it. A graph that is
        # recorded, for export or compilation, cannot depend on the values of tokens and keeps all places for labels.
        recorded = torch.compiler.is_compiling()
        length = min(tokens.shape[1], self.max_tokens) if recorded else int(end.max()) + 1
        if length > self.max_tokens:
            raise ValueError(f"a label of {length} tokens does not fit into {self.max_tokens}; shorten it")
        if config.attends_padding:
            if tokens.shape[1] != config.context_length:
                raise ValueError(f"tokens have length {tokens.shape[1]}; this model reads {config.context_length}")
            length = self.max_tokens
        tokens, end = (to_device(ids, self.token_embed.weight.device) for ids in (tokens[:, :length], end))
        x = self.token_embed(tokens)  # (K, L, W)
        if config.embed_scale != 1.0:
            x = x * config.embed_scale
        if self.learned is not None:
            learned = self.learned.expand(x.shape[0], -1, -1)
            start = int(config.has_start)
            x = torch.cat([x[:, :start], learned, x[:, start:]], dim=1)  # start, learned vectors, label, end
            end = end + config.learned_vectors
        x = x + (sines(x) if self.position is None else self.position[: x.shape[1]])
        return project(self._read(x, end), self.projection, self.projection_bias)

    def _read(self, x: Tensor, end: Tensor) -> Tensor:
        """(K, L, W), (K,) -> (K, W): through the blocks, and read where the family reads."""
        config = self.config
        if config.read == "mean":
            real = torch.arange(x.shape[1], device=x.device) <= end.unsqueeze(1)  # (K, L)
            reach = Reach(mask=real[:, None, None])
            x = run_blocks(self.blocks, x, reach, grad_checkpointing=self.grad_checkpointing)
            return (self.final_norm(x) * real.unsqueeze(2)).sum(dim=1) / (end.unsqueeze(1) + 1)
        x = run_blocks(self.blocks, x, Reach(config.causal), grad_checkpointing=self.grad_checkpointing)
        rows = torch.arange(x.shape[0], device=x.device)
        return self.final_norm(x[:, -1] if config.read == "last" else x[rows, end])


def _block(config: TextConfig) -> Block:
    block = Block(config.width, config.heads, config.mlp_width, config.activation, config.norm_eps)
    init_clip_block(block, config.layers)
    return block
