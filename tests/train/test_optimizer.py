"""Which parameters learn how fast: the authors' groups, name by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.parts import part_of
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Rates
from crossframe.train.muon import Muon
from crossframe.train.optimizer import AveragedWeights, base_for, build_optimizers, freeze, groups
from crossframe.weights.convert import their_names
from crossframe.weights.tables import OPENAI

PARTS = {"pretrained": "clip", "text": "clip", "message": "msg", "mit": "mit", "prompts": "prompts"}


@pytest.fixture
def model() -> XCLIP:
    """The authors' model of the reference data, set a."""
    config = ModelConfig(
        VisionConfig(32, 8, 128, 3, 2, 512),
        TextConfig(512, 77, 64, 2, 1, 256),
        64,
        4,
        MultiFrameConfig(1, 1, 256),
        PromptConfig(2, 1, 256),
    )
    return XCLIP(config)


@pytest.mark.parametrize(("case", "text"), [("a_fixtext", False), ("a_full", True)])
def test_groups_are_those_of_the_authors(case: str, text: bool, model: XCLIP, golden: Path) -> None:
    expected = json.loads((golden / "param_groups.json").read_text())[case]
    freeze(model, vision=True, text=text)
    (optimizer,) = build_optimizers(model, Rates())
    ours = {}
    for group in optimizer.param_groups:
        for name in group["names"]:
            suffix = "decay" if group["weight_decay"] else "nodecay"
            for theirs in their_names(name, OPENAI):
                ours[theirs] = (f"{PARTS[part_of(name).name]}_{suffix}", group)
    theirs = {name: group for group in expected["groups"] for name in group["names"]}
    assert {name: group for name, (group, _) in ours.items()} == {n: g["group"] for n, g in theirs.items()}
    for name, (_, group) in ours.items():
        for entry in ("lr", "weight_decay", "eps"):
            assert group[entry] == pytest.approx(theirs[name][entry])
        assert list(group["betas"]) == theirs[name]["betas"]
        assert group["minimum"] == pytest.approx(8e-8)
    frozen = {t for n, p in model.named_parameters() if not p.requires_grad for t in their_names(n, OPENAI)}
    assert frozen == set(expected["frozen"])


def test_what_learns_is_in_exactly_one_group(model: XCLIP) -> None:
    names = [name for group in groups(model) for name in group.names]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_a_frozen_image_encoder_leaves_the_new_modules_learning(model: XCLIP) -> None:
    freeze(model, vision=False, text=False)
    learning = {part_of(name).name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"message", "mit", "prompts"}


def test_learned_vectors_and_a_linear_head_are_new() -> None:
    vision = VisionConfig(32, 8, 32, 1, 1, 64, mixing="none")
    vectors = XCLIP(ModelConfig(vision, TextConfig(64, 16, 32, 1, 1, 64, learned_vectors=4)))
    freeze(vectors, vision=False, text=False)
    assert [name for name, p in vectors.named_parameters() if p.requires_grad] == ["text.learned"]
    head = XCLIP(replace(vectors.config, text=None, num_classes=3))
    freeze(head, vision=False, text=False)
    assert [name for name, p in head.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_muon_takes_the_matrices_of_the_blocks(model: XCLIP) -> None:
    adamw, muon = build_optimizers(model, Rates(muon=1e-3, text=0.5))
    assert isinstance(muon, Muon)
    names = {name: group["lr"] for group in muon.param_groups for name in group["names"]}
    assert names["vision.blocks.0.attention.qkv.weight"] == pytest.approx(1e-3)
    assert names["text.blocks.0.mlp.fc1.weight"] == pytest.approx(5e-4)
    assert names["prompts.layers.1.attention.q.weight"] == pytest.approx(1e-2)
    rest = {name for group in adamw.param_groups for name in group["names"]}
    assert {"vision.patch_embed.weight", "text.token_embed.weight", "vision.projection"} <= rest
    assert not rest & names.keys()


def test_a_model_in_which_nothing_learns_is_refused() -> None:
    still = XCLIP(ModelConfig(VisionConfig(32, 8, 32, 1, 1, 64, mixing="none"), TextConfig(64, 16, 32, 1, 1, 64)))
    freeze(still, vision=False, text=False)
    with pytest.raises(ValueError, match="nothing in this model learns"):
        build_optimizers(still, Rates())


def test_small_models_are_fine_tuned_faster_than_those_of_clips_size() -> None:
    assert base_for(768) == base_for(1024) == 2e-6
    assert base_for(384) == pytest.approx(8e-6)


def test_the_projection_of_an_exchanged_image_encoder_is_new(tiny_config: ModelConfig) -> None:
    model = XCLIP(tiny_config)
    fresh = ("vision.projection",)
    freeze(model, vision=False, text=False, fresh=fresh)
    assert model.vision.projection.requires_grad
    assert not model.vision.class_token.requires_grad
    (adamw,) = build_optimizers(model, Rates(base=1e-3, new=7.0), fresh)
    (group,) = [group for group in adamw.param_groups if "vision.projection" in group["names"]]
    assert group["base"] == pytest.approx(7e-3)


def averaged(decay: float | None, values: list[float], every: int = 1) -> float:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 100.0)
    average = AveragedWeights(module, decay, every)
    for value in values:
        torch.nn.init.constant_(module.weight, value)
        average.update()
    with average.applied():
        return module.weight.item()


def test_averaged_weights_forget_the_first_ones_soon_and_then_decay() -> None:
    mean, values = 100.0, [float(step % 7) for step in range(200)]
    for step, value in enumerate(values):
        share = max(9 / (10 + step), 0.1)  # 9/10, 9/11 ... until the decay is reached
        mean += share * (value - mean)
        if step in (0, 1, 20, 199):
            assert averaged(0.9, values[: step + 1]) == pytest.approx(mean, rel=1e-4)


def test_the_mean_of_epochs_is_plain_and_begins_after_the_first() -> None:
    assert averaged(None, [1.0, 2.0, 3.0, 6.0], every=2) == pytest.approx(4.0)
    assert averaged(None, [5.0], every=2) == 5.0
