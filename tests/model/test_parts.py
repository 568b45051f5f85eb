"""Every parameter belongs to a part, and what a video model adds to CLIP is told from what it had."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossframe.model.config import ModelConfig
from crossframe.model.parts import part_of, words_for
from crossframe.model.xclip import XCLIP


def names_of(config: ModelConfig) -> set[str]:
    with torch.device("meta"):
        return {name for name, _ in XCLIP(config).named_parameters()}


def test_new_is_what_a_plain_clip_does_not_have(tiny_config: ModelConfig) -> None:
    learned = replace(tiny_config, text=replace(tiny_config.text, learned_vectors=2))
    timed = replace(learned, vision=replace(learned.vision, message_frames=4))
    plain = replace(tiny_config, vision=replace(tiny_config.vision, mixing="none"), mit=None, prompts=None)
    headed = replace(tiny_config, text=None, prompts=None, num_classes=3)
    had = names_of(plain)
    assert not any(part_of(name).new for name in had)
    added = (names_of(timed) | names_of(headed)) - had
    assert all(part_of(name).new for name in added)
    assert {part_of(name).name for name in added} == {"message", "mit", "prompts", "head"}
    assert words_for(added) == [
        "cross-frame messages", "learned label vectors", "linear head", "multi-frame transformer",
        "video-specific prompts",
    ]  # fmt: skip


def test_a_name_that_no_model_has_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'decoder\.weight' is no parameter of the model"):
        part_of("decoder.weight")
