"""A small model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP

CONTEXT = 32


class Letters:
    """A tokenizer of letters."""

    vocab_size = 130

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Tensor:
        texts = [texts] if isinstance(texts, str) else texts
        rows = [[128, *map(ord, text), 129] for text in texts]
        return torch.tensor([row + [0] * ((context_length or CONTEXT) - len(row)) for row in rows])


def small_model(num_classes: int | None = None) -> XCLIP:
    """All three ideas at 32 pixels, with weights that tell clips apart.

    Drop path would show a model that is evaluated in training mode.
    """
    text = TextConfig(vocab_size=130, context_length=CONTEXT, width=32, layers=1, heads=2, mlp_width=64)
    config = ModelConfig(
        vision=VisionConfig(image_size=32, patch_size=16, width=32, layers=2, heads=2, mlp_width=64, drop_path=0.5),
        text=None if num_classes else text,
        embed_dim=32,
        num_frames=4,
        mit=MultiFrameConfig(heads=2, mlp_width=64),
        prompts=None if num_classes else PromptConfig(heads=2, mlp_width=64),
        num_classes=num_classes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = XCLIP(config, tokenizer=Letters(), preprocess=Preprocess.xclip(size=32))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        torch.nn.init.constant_(model.logit_scale, 2.0)
    return model
