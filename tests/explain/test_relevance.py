"""Attention that shows its weights, and relevance carried through them, against plain matrix products."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossframe.explain.relevance import AttentionWeights, Weights, carried, look, message_places
from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig
from crossframe.model.xclip import XCLIP
from tests.model.tiny_families import FAMILIES, tokens_for, video_for

NEW = {
    "mit": MultiFrameConfig(layers=2, heads=2, mlp_width=64),
    "prompts": PromptConfig(layers=2, heads=2, mlp_width=64),
}
MIXED = {
    f"{family}, {mixing}": replace(config, vision=replace(config.vision, mixing=mixing), **NEW)
    for mixing, names in (("cross_frame", FAMILIES), ("joint", ["CLIP", "PE-Core"]), ("none", ["CLIP"]))
    for family, config in FAMILIES.items()
    if family in names
}


def model_of(config: ModelConfig) -> XCLIP:
    model = XCLIP(config).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("config", MIXED.values(), ids=MIXED)
def test_with_weights_the_answer_is_the_same_and_afterwards_to_the_last_bit(config: ModelConfig) -> None:
    model = model_of(config)
    video, tokens = video_for(config, clips=1), tokens_for(config, 2, 3)
    with torch.no_grad():
        before = model(video, tokens)
        text = model.encode_text(tokens)
        found = look(model, video, text, lambda logits: logits[1])
        after = model(video, tokens)
    torch.testing.assert_close(found.logits, before[0])
    assert torch.equal(before, after)
    rows = [found.attention.blocks[0].tokens, *found.attention.frames, *found.attention.labels]
    for weights in rows:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1], dtype=torch.float64))


def test_causal_and_masked_attention_are_those_of_pytorch() -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4)
    mask = torch.tensor([True, True, False, True, False])[None, None, None]
    for options in ({"is_causal": True}, {"attn_mask": mask}):
        expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, **options)
        with AttentionWeights() as weights:
            found = torch.nn.functional.scaled_dot_product_attention(q, k, v, **options)
        torch.testing.assert_close(found, expected)
        assert len(weights.kept) == 1


def test_the_gradient_at_the_pixels_is_that_of_the_plain_model() -> None:
    config = MIXED["CLIP, cross_frame"]
    model = model_of(config)
    video, tokens = video_for(config, clips=1), tokens_for(config, 2, 3)
    text = model.encode_text(tokens).detach()
    pixels = video.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model.score(model.encode_video(pixels), text)[0, 1], pixels)
    found = look(model, video, text, lambda logits: logits[1])
    torch.testing.assert_close(found.gradient, expected[0])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_what_speaks_for_the_answer_counts_head_by_head() -> None:
    config = MIXED["CLIP, cross_frame"]
    model = model_of(config)
    video, tokens = video_for(config, clips=1), tokens_for(config, 2, 3)
    text = model.encode_text(tokens).detach()
    with AttentionWeights() as weights:
        logits = model.score(model.encode_video(video), text)[0]
    gradients = torch.autograd.grad(logits[1], weights.kept)
    products = [weight.detach() * gradient for weight, gradient in zip(weights.kept, gradients, strict=True)]
    found = look(model, video, text, lambda logits: logits[1]).relevant
    torch.testing.assert_close(found.blocks[0].messages, products[0].clamp_min(0).mean(dim=1)[0])
    torch.testing.assert_close(found.blocks[1].tokens, products[3].clamp_min(0).mean(dim=1))
    torch.testing.assert_close(found.frames[1], products[5].clamp_min(0).mean(dim=1)[0])
    torch.testing.assert_close(found.labels[0], products[6].clamp_min(0).mean(dim=1)[0])


def by_products(model: XCLIP, weights: Weights, label: int) -> Tensor:
    """Relevance (T, N) by one matrix of all tokens of all frames for each layer, multiplied from the input on."""
    vision, length = model.config.vision, weights.length
    tokens = vision.first_tokens + vision.grid**2
    passed = torch.eye(length * tokens, dtype=torch.float64)  # rows: tokens now, columns: tokens of the input
    for block in weights.blocks:
        layer = torch.zeros_like(passed)
        if vision.mixing == "joint":
            layer += block.tokens[0]
        else:
            for t in range(length):
                own = slice(t * tokens, (t + 1) * tokens)
                layer[own, own] += block.tokens[t, :, :tokens]
                if block.messages is None:
                    continue
                for s in range(length):
                    reach = block.tokens[t, :, tokens] * (block.messages[t, s] + (t == s))
                    if vision.message_from == "class":
                        layer[own, s * tokens] += reach
                    else:
                        patches = slice(s * tokens + vision.first_tokens, (s + 1) * tokens)
                        layer[own, patches] += reach[:, None] / vision.grid**2
        passed = passed + layer @ passed
    between = torch.eye(length, dtype=torch.float64)
    for layer in weights.frames:
        between = between + layer @ between
    shown = (torch.eye(length, dtype=torch.float64) + between).mean(dim=0)
    last = torch.zeros(length, tokens, dtype=torch.float64)
    if weights.pool is None:
        last[:, 0] = shown
    else:
        last += shown[:, None] * weights.pool
    last[:, vision.first_tokens :] += sum(layer[label] for layer in weights.labels) / length
    return (last.flatten() @ passed).view(length, tokens)[:, vision.first_tokens :]


@pytest.mark.parametrize("config", MIXED.values(), ids=MIXED)
def test_relevance_is_that_of_one_large_matrix_for_each_layer(config: ModelConfig) -> None:
    model = model_of(config)
    text = model.encode_text(tokens_for(config, 2, 3)).detach()
    found = look(model, video_for(config, clips=1), text, lambda logits: logits[1] - logits[0])
    for weights in (found.attention, found.relevant):
        relevance, told = carried(model, weights, 1)
        torch.testing.assert_close(relevance, by_products(model, weights, 1))
        assert (told.sum() > 0) == (config.vision.mixing == "cross_frame")


def test_attention_rollout_keeps_shares() -> None:
    config = replace(MIXED["CLIP, joint"], mit=None)
    model = model_of(config)
    text = model.encode_text(tokens_for(config, 2)).detach()
    found = look(model, video_for(config, clips=1), text, lambda logits: logits[0])
    weights = replace(found.attention, labels=[])
    now = torch.full((1, 4 * 17), 0.0, dtype=torch.float64)
    now[0, ::17] = 0.25
    for block in reversed(weights.blocks):
        now = (now + now @ block.tokens[0]) / 2
    relevance, _ = carried(model, weights, 0, residual=0.5)
    torch.testing.assert_close(relevance, now.view(4, 17)[:, 1:])
    assert 0 < relevance.sum() < 1


def test_messages_that_bring_nothing_leave_every_frame_by_itself() -> None:
    config = MIXED["CLIP, cross_frame"]
    model = model_of(config)
    video = video_for(config, clips=1)
    places = message_places(model)
    assert places == [0, 2]
    own = torch.eye(4, dtype=torch.float64)
    with AttentionWeights(lambda place, weights: own.expand_as(weights) if place in places else weights):
        frames, _ = model.vision(video)
    alone = torch.cat([model.vision(video[:, t : t + 1])[0] for t in range(4)], dim=1)
    torch.testing.assert_close(frames, alone)
    assert not torch.allclose(frames, model.vision(video)[0])
