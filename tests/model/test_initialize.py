"""Towers that are trained from scratch start as CLIP's do."""

from __future__ import annotations

import pytest
from torch import nn

from crossframe.model.config import ModelConfig, TextConfig, VisionConfig
from crossframe.model.xclip import XCLIP


def std(layer: nn.Linear) -> float:
    return float(layer.weight.detach().std())


@pytest.mark.parametrize("layers", [2, 8])
def test_residual_branches_shrink_with_the_depth_of_the_tower(layers: int) -> None:
    width, hidden = 96, 384
    vision = VisionConfig(16, 8, width, layers, 4, hidden, mixing="none")
    text = TextConfig(64, 12, width, layers, 4, hidden)
    model = XCLIP(ModelConfig(vision, text, 32))
    assert model.text is not None
    for block in (*model.vision.blocks, *model.text.blocks):
        shrunk = (2 * layers * width) ** -0.5
        assert std(block.attention.qkv) == pytest.approx(width**-0.5, rel=0.05)
        assert std(block.attention.out) == pytest.approx(shrunk, rel=0.05)
        assert std(block.mlp.fc1) == pytest.approx((2 * width) ** -0.5, rel=0.05)
        assert std(block.mlp.fc2) == pytest.approx(shrunk, rel=0.05)
        assert not block.mlp.fc2.bias.any()
