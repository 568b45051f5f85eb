"""Size and starting values of the paper's models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossframe.model.config import VARIANTS, ConfigError, ModelConfig, variant, variant_of
from crossframe.model.cross_frame import Message
from crossframe.model.multi_frame import MultiFrameTransformer
from crossframe.model.video_prompt import VideoPrompt
from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import their_names
from crossframe.weights.tables import OPENAI

COUNTS = json.loads((Path(__file__).parents[1] / "golden" / "flops.json").read_text())["cases"]
STARTS = json.loads((Path(__file__).parents[1] / "golden" / "init_stats.json").read_text())


def on_meta(name: str, num_frames: int) -> XCLIP:
    with torch.device("meta"):
        return XCLIP(variant(name, num_frames))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_known_by_its_shape(name: str) -> None:
    config = variant(name, num_frames=32)
    assert variant_of(replace(config, vision=replace(config.vision, drop_path=0.1))) == name
    assert variant_of(replace(config, prompts=None)) is None
    assert variant_of(replace(config, vision=replace(config.vision, layers=3))) is None


@pytest.mark.parametrize("case", COUNTS)
def test_parameters_are_counted_exactly_as_the_authors(case: str) -> None:
    name, frames = case.rsplit("_", 1)
    model = on_meta(name, int(frames.removesuffix("f")))
    expected = COUNTS[case]["params"]
    assert sum(p.numel() for p in model.parameters()) == expected["total"]
    assert sum(p.numel() for p in model.mit.parameters()) == expected["mit"]


@pytest.mark.parametrize("name", STARTS)
def test_new_parts_start_as_the_authors_do(name: str) -> None:
    config = variant(name, 8)
    fresh = {
        "mit": MultiFrameTransformer(config.mit, config.embed_dim, 8),
        "prompts": VideoPrompt(config.prompts, config.vision.width, config.embed_dim),
        "vision.blocks.0.message": Message(config.vision),
    }
    values = {
        their_names(f"{prefix}.{name}", OPENAI)[0]: parameter
        for prefix, module in fresh.items()
        for name, parameter in module.named_parameters()
    }
    assert values.keys() == STARTS[name].keys()
    for their_name, stats in STARTS[name].items():
        value = values[their_name].detach().double()
        spread, count = stats["std"], value.numel()
        assert abs(value.mean().item() - stats["mean"]) <= 8 * spread / count**0.5 + 1e-7, their_name
        assert value.std(correction=0).item() == pytest.approx(spread, rel=max(0.02, 5 / count**0.5), abs=1e-7)
        assert value.min().item() == pytest.approx(stats["min"], rel=0.35, abs=1e-7), their_name
        assert value.max().item() == pytest.approx(stats["max"], rel=0.35, abs=1e-7), their_name


def test_variants_go_by_name() -> None:
    assert VARIANTS == ("B/32", "B/16", "L/14", "L/14@336")
    with pytest.raises(ConfigError, match=r"no variant is called 'B/8'; the paper's are B/32, B/16, L/14, L/14@336"):
        variant("B/8")


@pytest.mark.parametrize("name", VARIANTS)
def test_configs_survive_json(name: str) -> None:
    config = variant(name, 16)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.mit.heads == config.prompts.heads == config.embed_dim // 64
