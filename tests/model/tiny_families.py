"""The smallest model of each family: all that tells it from CLIP, on 4 x 4 patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossframe.model.config import ModelConfig, PoolConfig, TextConfig, VisionConfig

_CLIP = ModelConfig(
    vision=VisionConfig(image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_width=48, mixing="none"),
    text=TextConfig(vocab_size=64, context_length=12, width=32, layers=2, heads=2, mlp_width=48),
    embed_dim=32,
    num_frames=4,
)


def _family(vision: dict[str, Any], text: dict[str, Any] | None = None, **rest: Any) -> ModelConfig:
    return replace(_CLIP, vision=replace(_CLIP.vision, **vision), text=replace(_CLIP.text, **(text or {})), **rest)


_BARE = {"class_token": "none", "message_from": "patches", "projection": "none", "pre_norm": False, "patch_bias": True}
_POOL = PoolConfig(heads=4, mlp_width=40)
FAMILIES = {
    "CLIP": _CLIP,
    "SigLIP": _family(
        {**_BARE, "pool": _POOL, "activation": "gelu", "norm_eps": 1e-6},
        {"causal": False, "read": "last", "end_id": 1, "projection": "biased"},
        logit_bias=True,
    ),
    "PE-Core": _family({"rotary": "pe", "pool": _POOL, "projection": "biased", "resize": "bilinear"}),
    "PE-Core G": _family({"rotary": "pe", "pool": _POOL, "class_token": "none", "message_from": "patches"}),
    "EVA-02": _family({"block": "gated", "activation": "silu", "rotary": "eva", "projection": "biased"}),
    "MobileCLIP2-B": _family(
        {"image_size": 64, "patch_size": 16, "stem_widths": (8, 12), "class_token": "unplaced", "projection": "biased"}
    ),
    "MobileCLIP2-L": _family({"projection": "biased"}, {"causal": False}),
    "MetaCLIP 2": _family({}, {"read": "end", "end_id": 2}),
    "TIPSv2": _family(
        {"block": "scaled", "registers": 2, "projection": "none", "resize": "bilinear_smooth", "pre_norm": False},
        {
            "causal": False,
            "read": "mean",
            "positions": "sines",
            "embed_scale": 32**0.5,
            "projection": "none",
            "activation": "relu",
        },
    ),
}


def video_for(config: ModelConfig, clips: int = 2, frames: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    size = config.vision.image_size
    return torch.randn(clips, frames, 3, size, size, generator=torch.Generator().manual_seed(3), dtype=dtype)


def tokens_for(config: ModelConfig, *lengths: int) -> Tensor:
    """Labels of these numbers of words, in the family's own way."""
    assert config.text is not None
    around = {"largest": ([62], [63], 0), "end": ([0], [2], 1), "last": ([], [1], 1), "mean": ([], [], 0)}
    start, end, pad = around[config.text.read]
    rows = [[*start, *range(5, 5 + words), *end] for words in lengths]
    return torch.tensor([row + [pad] * (config.text.context_length - len(row)) for row in rows])
