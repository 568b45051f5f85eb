"""The same weights in transformers and here give the same numbers, whichever side they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, XCLIPConfig, XCLIPModel

import crossframe
from crossframe.model.config import variant
from crossframe.model.xclip import XCLIP
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, same_weights, tokens_for, video_for

# Heads that are not 64 wide, MLPs that are not 4 times as wide, another activation: CLIP's relatives have them.
UNUSUAL = replace(
    XCLIP_CONFIG,
    vision=replace(XCLIP_CONFIG.vision, heads=8, activation="gelu"),
    text=replace(XCLIP_CONFIG.text, heads=4, activation="gelu"),
    mit=replace(XCLIP_CONFIG.mit, heads=4, layers=2, mlp_width=96, activation="gelu"),
    prompts=replace(XCLIP_CONFIG.prompts, heads=8, layers=1, activation="silu"),
)


def theirs_for(folder: Path, dtype: torch.dtype) -> XCLIPModel | CLIPModel:
    kind = XCLIPModel if '"xclip"' in (folder / "config.json").read_text() else CLIPModel
    model, report = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    assert not any(report.values())
    return model.eval()


def their_logits(model: XCLIPModel | CLIPModel, video: Tensor, tokens: Tensor) -> Tensor:
    """(B, K). For CLIP: the mean over frames of its image embeddings."""
    with torch.no_grad():
        if isinstance(model, XCLIPModel):
            return model(input_ids=tokens, pixel_values=video).logits_per_video
        frames = model.get_image_features(pixel_values=video.flatten(0, 1)).pooler_output
        clip = torch.nn.functional.normalize(frames.unflatten(0, video.shape[:2]).mean(dim=1), dim=-1)
        text = torch.nn.functional.normalize(model.get_text_features(input_ids=tokens).pooler_output, dim=-1)
        return model.logit_scale.exp() * clip @ text.T


@pytest.mark.parametrize("config", [XCLIP_CONFIG, UNUSUAL, CLIP_CONFIG], ids=["X-CLIP", "unusual", "CLIP"])
def test_ours_loads_there_with_the_same_results(config, tmp_path: Path) -> None:
    model = make(config, torch.float64)
    video, tokens = video_for(config, torch.float64), tokens_for(config)
    crossframe.save(model, tmp_path / "hf", "transformers")
    theirs = theirs_for(tmp_path / "hf", torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(video, tokens), their_logits(theirs, video, tokens), rtol=0.0, atol=1e-9)
    again = crossframe.load(tmp_path / "hf")
    assert same_weights(again, model)
    assert replace(again.config, num_frames=4) == config


def small_xclip() -> XCLIPModel:
    text = {"vocab_size": 99, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2}
    vision = {"hidden_size": 72, "intermediate_size": 100, "num_hidden_layers": 3, "image_size": 24, "patch_size": 8}
    return XCLIPModel(
        XCLIPConfig(
            text_config=text | {"num_attention_heads": 3, "max_position_embeddings": 20, "hidden_act": "gelu"},
            vision_config=vision
            | {"num_attention_heads": 6, "num_frames": 5, "mit_hidden_size": 40, "mit_intermediate_size": 56}
            | {"mit_num_hidden_layers": 2, "mit_num_attention_heads": 4, "hidden_act": "gelu_new"},
            projection_dim=40,
            prompt_layers=1,
            prompt_num_attention_heads=5,
        )
    )


def small_clip() -> CLIPModel:
    text = {"vocab_size": 99, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "eos_token_id": 98}
    vision = {"hidden_size": 72, "intermediate_size": 100, "num_hidden_layers": 3, "image_size": 24, "patch_size": 8}
    return CLIPModel(
        CLIPConfig(
            text_config=text | {"num_attention_heads": 3, "max_position_embeddings": 20},
            vision_config=vision | {"num_attention_heads": 6},
            projection_dim=40,
        )
    )


def shaken(model: XCLIPModel | CLIPModel) -> XCLIPModel | CLIPModel:
    """With values in every parameter that a slip would show: theirs start at zero or one in many."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


@pytest.mark.parametrize("make_theirs", [small_xclip, small_clip])
@pytest.mark.parametrize("safe", ["safetensors", "sharded", "pytorch_model.bin"])
def test_theirs_loads_here_with_the_same_results(make_theirs, safe: str, tmp_path: Path) -> None:
    theirs = shaken(make_theirs())
    theirs.save_pretrained(tmp_path, max_shard_size="100KB" if safe == "sharded" else "5GB")
    if safe == "sharded":
        assert (tmp_path / "model.safetensors.index.json").is_file()
    if safe == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        ids = {"vision_model.embeddings.position_ids": torch.arange(10)[None]}  # as in older files
        torch.save(theirs.state_dict() | ids, tmp_path / "pytorch_model.bin")
    model = crossframe.load(tmp_path, dtype=torch.float64)
    video, tokens = video_for(model.config, torch.float64), tokens_for(model.config)
    expected = their_logits(theirs.double(), video, tokens)
    with torch.no_grad():
        torch.testing.assert_close(model(video, tokens), expected, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("expanded", [True, False], ids=["X-CLIP", "CLIP"])
def test_real_size_in_both_directions_and_precisions(expanded: bool, tmp_path: Path) -> None:
    config = variant("B/32", 2)
    if not expanded:
        config = replace(config, mit=None, prompts=None, vision=replace(config.vision, mixing="none"))
    model = XCLIP(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # gains and biases start at one and zero, where a slip would not show
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    video, tokens = video_for(config, clips=1), tokens_for(config)

    crossframe.save(model, tmp_path / "ours", "transformers")
    theirs = theirs_for(tmp_path / "ours", torch.float32)
    ours_single, their_single = logits(model, video, tokens), their_logits(theirs, video, tokens)
    spread = their_single.max() - their_single.min()
    assert (ours_single - their_single).abs().max() < 5e-4 * spread

    theirs.save_pretrained(tmp_path / "theirs")
    assert same_weights(crossframe.load(tmp_path / "theirs"), model)

    their_double = their_logits(theirs.double(), video.double(), tokens)
    torch.testing.assert_close(logits(model.double(), video, tokens), their_double, rtol=0.0, atol=1e-9)


def logits(model: XCLIP, video: Tensor, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model(video.to(model.dtype), tokens)
