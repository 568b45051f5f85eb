"""The tables of names, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.model.config import variant
from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import to_ours, to_theirs
from crossframe.weights.errors import WeightsError
from crossframe.weights.families import LANGUAGE_IMAGE
from crossframe.weights.hf_config import config_from_hf, config_to_hf, with_authors_heads
from crossframe.weights.infer import infer_config, infer_vision
from crossframe.weights.search import recognize
from crossframe.weights.tables import HF_CLIP, HF_VIT, HF_VIT_5, HF_XCLIP, OPENAI, TIMM_VIT, Layout
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make

KEYS = json.loads((Path(__file__).parents[1] / "golden" / "hf_keys.json").read_text())["models"]
NAMES = {"B/32": "microsoft/xclip-base-patch32", "L/14": "microsoft/xclip-large-patch14"}


def on_meta(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def ours(name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return XCLIP(variant(name, 8)).state_dict()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("layout", "keys"), [(OPENAI, "official_keys"), (HF_XCLIP, "hf_keys")])
def test_every_published_name_has_a_place_and_every_place_a_name(name: str, layout: Layout, keys: str) -> None:
    known: dict[str, list[int]] = KEYS[NAMES[name]][keys]
    assert shapes_of(to_ours(on_meta(known), layout)) == shapes_of(ours(name))
    assert shapes_of(to_theirs(ours(name), layout)) == known


@pytest.mark.parametrize("name", NAMES)
def test_both_layouts_name_the_same_values(name: str) -> None:
    for entry in KEYS[NAMES[name]]["mapping"]:
        official = to_ours_name({entry["official"]: KEYS[NAMES[name]]["official_keys"][entry["official"]]}, OPENAI)
        theirs = to_ours_name({key: KEYS[NAMES[name]]["hf_keys"][key] for key in entry["hf"]}, HF_XCLIP)
        assert official == theirs


def to_ours_name(shapes: dict[str, Any], layout: Layout) -> list[str]:
    return list(to_ours(on_meta(shapes), layout))


@pytest.mark.parametrize("layout", [OPENAI, HF_XCLIP], ids=lambda layout: layout.name)
def test_values_survive_both_directions(layout: Layout) -> None:
    state = make().state_dict()
    back = to_ours(to_theirs(state, layout), layout)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


@pytest.mark.parametrize("layout", [TIMM_VIT, HF_VIT, HF_VIT_5], ids=lambda layout: layout.name)
def test_image_encoders_survive_both_directions(layout: Layout) -> None:
    state = {
        name: tensor
        for name, tensor in make(CLIP_CONFIG).state_dict().items()
        if name.startswith("vision.") and "pre_norm" not in name and name != "vision.projection"
    }
    back = to_ours(to_theirs(state, layout), layout)
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert not infer_vision(back, layout).pre_norm


def test_queries_keys_and_values_are_stored_in_this_order() -> None:
    fused = torch.arange(9.0).reshape(9, 1)
    apart = to_theirs({"mit.blocks.0.attention.qkv.weight": fused}, HF_XCLIP)
    assert {name.split(".")[-2]: part.flatten().tolist() for name, part in apart.items()} == {
        "q_proj": [0.0, 1.0, 2.0],
        "k_proj": [3.0, 4.0, 5.0],
        "v_proj": [6.0, 7.0, 8.0],
    }


def test_projections_of_linear_layers_are_transposed() -> None:
    matrix = torch.randn(3, 5)
    assert torch.equal(to_theirs({"text.projection": matrix}, HF_CLIP)["text_projection.weight"], matrix.T)


def test_layouts_are_recognized_by_their_names() -> None:
    for layout, config in ((OPENAI, XCLIP_CONFIG), (HF_XCLIP, XCLIP_CONFIG), (HF_CLIP, CLIP_CONFIG)):
        assert recognize(to_theirs(make(config).state_dict(), layout), LANGUAGE_IMAGE) is layout
    assert recognize(["something.else"], LANGUAGE_IMAGE) is None


def test_a_name_without_a_place_is_left_over_unless_declared() -> None:
    tensors = to_theirs(make().state_dict(), OPENAI)
    declared = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(16)}
    assert to_ours(tensors | declared, OPENAI).keys() == make().state_dict().keys()
    with pytest.raises(WeightsError, match=r"left over in the layout of OpenAI: visual\.extra"):
        to_ours(tensors | {"visual.extra": torch.zeros(1)}, OPENAI)


def test_one_of_three_may_not_be_absent() -> None:
    tensors = to_theirs(make().state_dict(), HF_XCLIP)
    del tensors["mit.encoder.layers.0.self_attn.k_proj.bias"]
    with pytest.raises(WeightsError, match=r"missing mit\.encoder\.layers\.0\.self_attn\.k_proj\.bias"):
        to_ours(tensors, HF_XCLIP)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_configs_tell_the_same_architecture(name: str) -> None:
    published = KEYS[NAMES[name]]
    from_shapes = infer_config(to_ours(on_meta(published["official_keys"]), OPENAI), OPENAI)
    assert from_shapes == variant(name, published["num_frames"])
    assert from_shapes.mit.heads == published["official_mit_heads"]
    assert with_authors_heads(config_from_hf(published["config"])) == from_shapes


def test_the_hub_config_of_the_large_models_has_the_word_unless_the_authors_rule_is_asked_for() -> None:
    config = config_from_hf(KEYS[NAMES["L/14"]]["config"])
    assert (config.mit.heads, config.prompts.heads) == (8, 8)
    assert (with_authors_heads(config).mit.heads, with_authors_heads(config).prompts.heads) == (12, 12)


@pytest.mark.parametrize("name", NAMES)
def test_hugging_face_configs_survive_both_directions(name: str) -> None:
    config = variant(name, 8)
    assert config_from_hf(config_to_hf(config)) == config
