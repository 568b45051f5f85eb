"""Packed for a processor, a model computes what it computed before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from crossframe import Recognizer, engine
from crossframe.engine import can_pack, pack
from crossframe.inference import Inference
from crossframe.model.config import Activation, ModelConfig, new_parts
from tests.model.by_rule import read_by_rule
from tests.model.tiny_families import FAMILIES
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, video_for

GOLDEN = Path(__file__).parent / "golden"
SPACE_TIME = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, mixing="joint"), prompts=None)
TIMED = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, message_frames=6))

pytestmark = pytest.mark.skipif(
    not can_pack(make(), torch.float32), reason="PyTorch was built without oneDNN for this processor"
)


def activated(name: Activation) -> ModelConfig:
    assert XCLIP_CONFIG.prompts is not None
    vision, prompts = replace(XCLIP_CONFIG.vision, activation=name), replace(XCLIP_CONFIG.prompts, activation=name)
    return replace(XCLIP_CONFIG, vision=vision, prompts=prompts)


def expanded(family: str) -> ModelConfig:
    plain = FAMILIES[family]
    mit, prompts = new_parts(plain.embed_dim)
    return replace(plain, vision=replace(plain.vision, mixing="cross_frame"), mit=mit, prompts=prompts)


CONFIGS = [
    activated("quick_gelu"),
    activated("gelu"),
    activated("gelu_tanh"),
    activated("silu"),
    CLIP_CONFIG,
    SPACE_TIME,
    TIMED,
    *map(expanded, FAMILIES),
]
NAMES = ["quick_gelu", "gelu", "gelu_tanh", "silu", "CLIP", "space-time", "messages with a position", *FAMILIES]


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_float32_differs_by_rounding_alone(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LABELS_AT_ONCE", 2)  # of five labels: the last share is smaller
    model, video, text = make(config), video_for(config), torch.randn(5, config.embed_dim)
    packed = pack(model, torch.float32)
    with torch.inference_mode():
        before, after = model.score(model.encode_video(video), text), packed.score(packed.encode_video(video), text)
    assert (before - after).abs().max() < 1e-5 * (before.max() - before.min())


@pytest.mark.parametrize("many_tokens", [0, 1024], ids=["fused kernel", "by frame"])
def test_bfloat16_keeps_to_the_authors_logits(many_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MANY_TOKENS", many_tokens)
    rule = read_by_rule(GOLDEN)
    model = rule.model().float()
    if not can_pack(model, torch.bfloat16):
        pytest.skip("oneDNN does not compute in bfloat16 on this processor")
    packed = pack(model, torch.bfloat16)
    with torch.inference_mode():
        logits = packed.score(packed.encode_video(rule.video.float()), model.encode_text(rule.tokens))
    expected = torch.tensor(rule.expected["logits"])
    assert (logits - expected).abs().max() < 0.03 * (expected.max() - expected.min())


def test_the_model_itself_stays_as_it_was() -> None:
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recognizer = Recognizer(model, precision="bfloat16")
    assert all(torch.equal(tensor, before[name]) for name, tensor in recognizer.model.state_dict().items())
    assert model.state_dict().keys() == before.keys()


def test_layers_that_are_not_ours_are_left_alone() -> None:
    class Adapted(nn.Linear):
        """What a library of adapters puts in the place of a linear layer."""

    model = make()
    mlp = model.vision.blocks[0].mlp
    mlp.fc1 = Adapted(mlp.fc1.in_features, mlp.fc1.out_features)
    assert not can_pack(model, torch.float32)
    assert not can_pack(make(dtype=torch.float64), torch.float32)
    assert not Inference(model).packed


@pytest.mark.parametrize(
    "place",
    [
        "vision.blocks.1",
        "vision.blocks.1.attention",
        "vision.blocks.1.mlp",
        "vision.blocks.1.message",
        "prompts",
        "prompts.layers.0.attention",
        "prompts.layers.0.mlp",
    ],
)
def test_a_part_that_computes_something_of_its_own_is_not_packed_as_the_plain_one(place: str) -> None:
    model = make()
    part = model.get_submodule(place)
    part.__class__ = type("Own", (type(part),), {})
    assert not can_pack(model, torch.float32)


def test_hooks_of_the_layers_are_called() -> None:
    model, called = make(), []
    model.vision.blocks[0].register_forward_pre_hook(lambda *_: called.append("before"))
    model.vision.blocks[0].mlp.register_forward_hook(lambda *_: called.append("after"))
    Recognizer(model).embed_videos([torch.zeros(4, 3, 32, 32, dtype=torch.uint8)])
    assert called == ["before", "after"]
