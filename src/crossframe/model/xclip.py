"""The whole model: a video and labels in, logits out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.model.config import ModelConfig
from crossframe.model.multi_frame import MultiFrameTransformer
from crossframe.model.preprocess import Preprocess, check_input, default_preprocess
from crossframe.model.text import TextTransformer
from crossframe.model.video_prompt import VideoPrompt
from crossframe.model.vision import VisionTransformer
from crossframe.published import Published
from crossframe.taught import Taught


class Tokenize(Protocol):
    """Labels to int64 (K, L), and the number of ids they may take."""

    @property
    def vocab_size(self) -> int: ...
    def __call__(self, texts: str | Sequence[str]) -> Tensor: ...


@dataclass(frozen=True, slots=True, eq=False)
class VideoFeatures:
    """Features of B clips: `embedding` (B, E), not normalized; `patches` (B, N, E), the mean over frames of the patch
    tokens in the joint space, for the prompts (None without them); and `frames` (B, T, E), the embedding of each frame
    by the image encoder."""

    embedding: Tensor
    patches: Tensor | None
    frames: Tensor

    def clip(self, i: int) -> VideoFeatures:
        """The features of clip i alone, still with a batch dimension."""
        rows = slice(i, i + 1)
        patches = self.patches if self.patches is None else self.patches[rows]
        return VideoFeatures(self.embedding[rows], patches, self.frames[rows])


class XCLIP(nn.Module, Published):
    """A language-image model expanded to video. With `mit`, `prompts` and mixing all off it is CLIP on mean frames.

    `crossframe.load` attaches `tokenizer` and `preprocess`, by default that of CLIP or of X-CLIP's authors, whichever
    the parts are; the model computes without them. `taught` is what training left: class names, templates, clips.
    """

    def __init__(
        self, config: ModelConfig, *, tokenizer: Tokenize | None = None, preprocess: Preprocess | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.preprocess = preprocess or default_preprocess(config)
        self.taught = Taught()
        dim = config.embed_dim
        self.vision = VisionTransformer(config.vision, dim)
        self.text = TextTransformer(config.text, dim) if config.text else None
        self.mit = MultiFrameTransformer(config.mit, dim, config.num_frames) if config.mit else None
        self.prompts = VideoPrompt(config.prompts, config.vision.width, dim) if config.prompts else None
        self.head = nn.Linear(dim, config.num_classes) if config.num_classes else None
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias = nn.Parameter(torch.tensor(-10.0)) if config.logit_bias else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes that it was trained on, by index; empty where the checkpoint does not know them."""
        return self.taught.labels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, except those of the image encoder, which may be of lower precision."""
        return self.logit_scale.dtype

    def forward(self, video: Tensor, tokens: Tensor | None = None) -> Tensor:
        """float (B, T, 3, S, S), int64 (K, L) -> logits (B, K). With a linear head no tokens are needed."""
        features = self.encode_video(video)
        return self.score(features, None if tokens is None else self.encode_text(tokens))

    def encode_video(self, video: Tensor) -> VideoFeatures:
        """float (B, T, 3, S, S), normalized as `preprocess` does -> features of the clips. Any T, and any S of whole
        patches: `preprocess.at(S)` makes such pictures, and positions are interpolated as by `load(image_size=S)`."""
        check_input(video, self.config.vision)
        # The image encoder, which takes most of the time, may be in lower precision than the rest.
        frames, patches = self.vision(video.to(self.vision.position.dtype))  # (B, T, E), (B, T, N, D)
        frames = frames.to(self.dtype)
        embedding = frames.mean(dim=1) if self.mit is None else self.mit(frames)
        summary = None if self.prompts is None else self.prompts.summarize(patches)
        return VideoFeatures(embedding, summary, frames)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """int64 (K, L) -> (K, E), not normalized. Raises `ValueError` when the model has a linear head instead."""
        if self.text is None:
            raise ValueError("this model has a linear head and no text encoder: call score(features) without labels")
        if not isinstance(tokens, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"{type(tokens).__name__} was given as tokens: use model.tokenize(labels)")
        if tokens.dim() != 2 or tokens.is_floating_point():
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)} and type {tokens.dtype}; this model takes int64 (K, L): "
                "use model.tokenize(labels)"
            )
        return self.text(tokens)

    def score(self, video: VideoFeatures, text: Tensor | None = None) -> Tensor:
        """Logits (B, K) of clips for labels (K, E): exp(logit_scale) * cosine (+ bias), in float32 at least."""
        if self.head is not None:
            return self.head(video.embedding)
        if text is None:
            raise ValueError("a model with a text encoder scores labels: pass encode_text(tokens)")
        labels = text if self.prompts is None or video.patches is None else self.prompts(text, video.patches)
        # bfloat16 has 8 bits of mantissa: similar labels would tie
        with torch.autocast("cpu" if labels.is_meta else labels.device.type, enabled=False):
            exact = torch.promote_types(labels.dtype, torch.float32)
            embedding = F.normalize(video.embedding.to(exact), dim=-1)  # (B, E)
            labels = F.normalize(labels.to(exact), dim=-1)  # (B, K, E), or (K, E) without prompts
            cosine = embedding @ labels.T if labels.dim() == 2 else torch.einsum("be,bke->bk", embedding, labels)
            logits = self.logit_scale.to(exact).exp() * cosine
            return logits if self.logit_bias is None else logits + self.logit_bias.to(exact)

    def tokenize(self, labels: str | Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Labels to int64 (K, L) on the model's device, or on `device`.

        Raises `ValueError` when vocabulary and model do not match.
        """
        if self.config.text is None or self.text is None or self.tokenizer is None:
            raise ValueError("this model has no tokenizer: attach one, or pass token ids")
        known = self.config.text.vocab_size
        if self.tokenizer.vocab_size != known:
            raise ValueError(
                f"the tokenizer has {self.tokenizer.vocab_size} ids and the text encoder {known}: "
                "put the tokenizer.json that belongs to the weights into their folder"
            )
        tokens = self.tokenizer(labels)
        length, row = (int(value) for value in (self.text.ends(tokens) + 1).max(dim=0))
        if length > self.text.max_tokens:  # learned vectors take places that the tokenizer does not know of
            label = labels if isinstance(labels, str) else labels[row]
            raise ValueError(
                f"the label {label!r} has {length} tokens, start and end included, and beside its learned vectors the "
                f"model reads at most {self.text.max_tokens}: shorten it"
            )
        return tokens.to(self.device if device is None else device)

    def prepare(self, frames: Tensor | Sequence[Tensor]) -> Tensor:
        """uint8 (T, 3, H, W), or a list of such of any sizes -> float (B, T, 3, S, S) on the model's device."""
        return self.preprocess(frames, self.device)
