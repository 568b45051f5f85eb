"""Small models with random weights in every parameter, and the files that their publishers would have made of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.preprocess import default_preprocess
from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import to_theirs
from crossframe.weights.tables import OPENAI, Layout

# Everything that shapes do not tell is as in the authors' files: heads of 64, QuickGELU.
XCLIP_CONFIG = ModelConfig(
    vision=VisionConfig(image_size=32, patch_size=8, width=128, layers=2, heads=2, mlp_width=192),
    text=TextConfig(vocab_size=96, context_length=16, width=64, layers=2, heads=1, mlp_width=128),
    embed_dim=128,
    num_frames=4,
    mit=MultiFrameConfig(layers=1, heads=2, mlp_width=512),
    prompts=PromptConfig(layers=2, heads=2, mlp_width=512),
)
CLIP_CONFIG = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, mixing="none"), mit=None, prompts=None)


def make(config: ModelConfig = XCLIP_CONFIG, dtype: torch.dtype = torch.float32) -> XCLIP:
    model = XCLIP(config, preprocess=default_preprocess(config)).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
        model.logit_scale.fill_(2.3)
    return model


def video_for(config: ModelConfig, dtype: torch.dtype = torch.float32, clips: int = 2) -> Tensor:
    size = config.vision.image_size
    return torch.randn(clips, config.num_frames, 3, size, size, dtype=dtype)


def tokens_for(config: ModelConfig, labels: int = 3) -> Tensor:
    """Labels of 1, 2, ... tokens between start and end, zero padded."""
    size, length = config.text.vocab_size, config.text.context_length
    tokens = torch.zeros(labels, length, dtype=torch.int64)
    for i in range(labels):
        body = torch.randint(1, size - 2, (i + 1,)).tolist()
        tokens[i, : i + 3] = torch.tensor([size - 2, *body, size - 1])
    return tokens


def published(model: XCLIP, layout: Layout = OPENAI) -> dict[str, Tensor]:
    """The model's state dict under the names of a publisher."""
    return {name: tensor.clone().contiguous() for name, tensor in to_theirs(model.state_dict(), layout).items()}


def same_weights(one: XCLIP, other: XCLIP) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
