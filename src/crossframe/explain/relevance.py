"""From an answer back to the places in the frames: relevance, carried through the attention of every layer.

The rules are those of Chefer, Gur and Wolf (ICCV 2021) for self-attention and cross-attention, extended to message
tokens, the multi-frame transformer and the labels' prompts; docs/explain.md derives them. Shape letters: T frames,
L tokens of a frame, N patches, K labels.

The model asks PyTorch for attention whose weights never exist as a tensor. A function mode answers in PyTorch's place,
so that the network neither knows nor changes; outside of it, it is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from crossframe.model.cross_frame import CrossFrameBlock
from crossframe.model.xclip import XCLIP, VideoFeatures


class AttentionWeights(TorchFunctionMode):
    """Inside, every scaled dot-product attention of this thread leaves its weights in `kept`, in the order of
    computing: each (batch, heads, L, M), part of the graph. `change(place, weights)` gives those to go on with."""

    def __init__(self, change: Callable[[int, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.kept: list[Tensor] = []
        self._change = change

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (batch, heads, L, M)
        if is_causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        weights = scores.softmax(dim=-1)
        if self._change is not None:
            weights = self._change(len(self.kept), weights)
        self.kept.append(weights)
        return weights @ v


@dataclass(frozen=True, slots=True, eq=False)
class BlockWeights:
    """Of one block of the image encoder: `tokens` (T, L, L + 1), of which the last column is the frame's message, or
    (T, L, L) without messages, or (1, T L, T L) where all tokens attend to all; and `messages` (T, T) if it has any."""

    tokens: Tensor
    messages: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """One number for each pair that attends in a forward pass of one clip of T frames (`length`), mean over heads.

    `blocks` of the image encoder, `pool` (T, L) if a query reads the frames, `frames` (T, T) of the layers of the
    multi-frame transformer, `labels` (K, N) of the layers of the prompts.
    """

    length: int
    blocks: list[BlockWeights]
    pool: Tensor | None
    frames: list[Tensor]
    labels: list[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One forward pass: `logits` (K,), on the CPU, the `attention` in it, and `relevant`, the same weighted by the
    gradient of what was asked; `gradient` (T, 3, S, S) is that at the pixels, in the model's units."""

    logits: Tensor
    attention: Weights
    relevant: Weights
    gradient: Tensor


def look(model: XCLIP, video: Tensor, text: Tensor | None, asked: Callable[[Tensor], Tensor]) -> Pass:
    """Run one clip, float (1, T, 3, S, S), and labels (K, E) through the model, and back from what is `asked`: a number
    that is made of the logits (K,)."""
    with torch.enable_grad(), AttentionWeights() as weights:
        pixels = video.clone().requires_grad_()
        frames, patches = model.vision(pixels)
        embedding = frames.mean(dim=1) if model.mit is None else model.mit(frames)
        summary = None if model.prompts is None else model.prompts.summarize(patches)
        logits = model.score(VideoFeatures(embedding, summary, frames), text)[0]
        attention = [weight.detach().mean(dim=1) for weight in weights.kept]
        relevant = [torch.zeros_like(mean) for mean in attention]
        for found, weight in zip(relevant, weights.kept, strict=True):
            weight.register_hook(partial(_keep_relevant, found, weight.detach()))
        (gradient,) = torch.autograd.grad(asked(logits), pixels)
    by_part = partial(_of_parts, model, video.shape[1])
    return Pass(logits.detach().cpu(), by_part(attention), by_part(relevant), gradient[0])


def _keep_relevant(found: Tensor, weight: Tensor, gradient: Tensor) -> None:
    """Put into `found` only what speaks for the answer: that head by head, then the mean (their equation 5).

    Gradients of all heads of all layers at once would take as much memory again as the pass itself.
    """
    found.copy_((weight * gradient).clamp_min_(0).mean(dim=1))


def message_places(model: XCLIP) -> list[int]:
    """Which of the attentions of the image encoder, counted in the order of computing, are those of messages."""
    places: list[int] = []
    count = 0
    for block in model.vision.blocks:
        if isinstance(block, CrossFrameBlock):
            places.append(count)
            count += 1
        count += 1
    return places


def carried(model: XCLIP, weights: Weights, label: int, *, residual: float = 1.0) -> tuple[Tensor, Tensor]:
    """From the answer about a label back to the input: relevance (T, N) of patches, and (T, T) of messages.

    Row t, column s of the latter is what tokens of frame t took from frame s by messages, over all blocks. The sum of a
    residual branch and what passes by it is multiplied by `residual`: 1 for relevance, 1/2 for attention rollout, where
    rows stay shares.
    """
    first = model.config.vision.first_tokens
    now = _readout(weights, label, first, residual)
    told = now.new_zeros(weights.length, weights.length)
    for block in reversed(weights.blocks):
        rows = now.view(len(block.tokens), 1, -1)  # where all tokens attend to all, one row for all frames
        taken = (rows @ block.tokens).squeeze(1) * residual
        now = now * residual + taken[:, : rows.shape[2]].reshape_as(now)
        if block.messages is not None:
            reach = block.messages + torch.eye(weights.length, device=now.device)  # a message is its own frame's, too
            heard = taken[:, -1:] * reach * residual  # (T, T)
            _give(now, heard.sum(dim=0), model, first)
            told += heard
    return now[:, first:], told


def _readout(weights: Weights, label: int, first: int, residual: float) -> Tensor:
    """From the answer back to the output of the last block, (T, L)."""
    last = weights.blocks[-1].tokens
    passed = shown = last.new_full((weights.length,), 1 / weights.length)  # the mean over frames
    for layer in reversed(weights.frames):
        passed = (passed + passed @ layer) * residual
    read = shown + passed if weights.frames else shown  # the authors' code adds the frames once more
    now = last.new_zeros(weights.length, last.shape[0] * last.shape[1] // weights.length)
    if weights.pool is None:
        now[:, 0] = read
    else:
        now += read.unsqueeze(1) * weights.pool
    for layer in weights.labels:  # labels see the mean over frames of what stands in each place
        now[:, first:] += layer[label] / weights.length
    return now


def _give(now: Tensor, heard: Tensor, model: XCLIP, first: int) -> None:
    """Add (T,), what messages took from each frame, to what messages are made of, in place."""
    if model.config.vision.message_from == "class":
        now[:, 0] += heard
    else:
        now[:, first:] += heard[:, None] / (now.shape[1] - first)


def _of_parts(model: XCLIP, length: int, found: list[Tensor]) -> Weights:
    """The weights of a pass in the order of computing, each (batch, L, M), by what they belong to."""
    left: Iterator[Tensor] = iter(found)
    blocks: list[BlockWeights] = []
    for block in model.vision.blocks:
        messages = next(left)[0] if isinstance(block, CrossFrameBlock) else None
        blocks.append(BlockWeights(next(left), messages))
    pool = None if model.vision.pool is None else next(left)[:, 0]
    frames = [] if model.mit is None else [next(left)[0] for _ in model.mit.blocks]
    labels = [] if model.prompts is None else [next(left)[0] for _ in model.prompts.layers]
    return Weights(length, blocks, pool, frames, labels)
