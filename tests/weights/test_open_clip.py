"""Folders of open_clip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import crossframe
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.weights import WeightsError
from tests.weights.small import CLIP_CONFIG, make, published, same_weights, tokens_for, video_for


@pytest.fixture
def clip() -> XCLIP:
    vision = replace(CLIP_CONFIG.vision, heads=4, activation="gelu")
    return make(replace(CLIP_CONFIG, vision=vision, text=replace(CLIP_CONFIG.text, heads=8, activation="gelu")))


@pytest.fixture
def values() -> dict[str, Any]:
    vision = {"image_size": 32, "layers": 2, "width": 128, "head_width": 32, "patch_size": 8, "mlp_ratio": 1.5}
    text = {"context_length": 16, "vocab_size": 96, "width": 64, "heads": 8, "layers": 2}
    pictures = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic"}
    return {
        "model_cfg": {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": pictures | {"resize_mode": "shortest", "fill_color": 0},
    }


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_heads_activation_and_pictures_are_those_of_the_file(
    clip: XCLIP, values: dict[str, Any], tmp_path: Path, name: str
) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    (save_file if name.endswith("safetensors") else torch.save)(published(clip), tmp_path / name)
    loaded = crossframe.load(tmp_path)
    video, tokens = video_for(clip.config), tokens_for(clip.config)
    with torch.no_grad():
        torch.testing.assert_close(loaded(video, tokens), clip(video, tokens), rtol=0.0, atol=0.0)
    assert loaded.preprocess == Preprocess(32, 32, (0.5,) * 3, (0.25,) * 3, "bicubic", antialias=True)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside Hugging Face's"])
def test_the_file_of_a_folder_stands_for_it(clip: XCLIP, values: dict[str, Any], tmp_path: Path, beside: bool) -> None:
    if beside:  # as on the hub, where both libraries find their own
        crossframe.save(make(CLIP_CONFIG), tmp_path, "transformers")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    save_file(published(clip), tmp_path / "open_clip_model.safetensors")
    loaded = crossframe.load(tmp_path / "open_clip_model.safetensors")
    assert same_weights(loaded, clip)
    assert loaded.config.vision.activation == "gelu"


def test_openais_weights_say_that_they_use_quick_gelu(clip: XCLIP, values: dict[str, Any], tmp_path: Path) -> None:
    values["model_cfg"]["quick_gelu"] = True
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    save_file(published(clip), tmp_path / "open_clip_model.safetensors")
    config = crossframe.load(tmp_path).config
    assert (config.vision.activation, config.text.activation) == ("quick_gelu", "quick_gelu")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "vision_cfg",
            {"timm_model_name": "vit_base_patch16_rope_reg1_gap_256"},
            "timm's 'vit_base_patch16_rope_reg1_gap_256', which is unknown; known are those of SigLIP",
        ),
        ("text_cfg", {"hf_model_name": "xlm-roberta-base"}, "'xlm-roberta-base': towers from Hugging Face"),
        ("vision_cfg", {"layers": [3, 4, 6, 3]}, "image encoder is a ResNet"),
        ("vision_cfg", {"timm_model_name": "naflexvit_base_patch16_siglip"}, "NaFlex takes images of any shape"),
        ("vision_cfg", {"timm_model_name": "aimv2_large_patch14_224"}, "AIMv2 has another block"),
        ("vision_cfg", {"timm_model_name": "resnet50_clip"}, "it is convolutional"),
        ("vision_cfg", {"pool_type": "avg"}, "its options pool_type are not those of a known model"),
        ("text_cfg", {"embed_cls": True}, "its options embed_cls"),
        ("text_cfg", {"pool_type": "first"}, "its text is read by pool_type 'first'"),
        ("text_cfg", {"something_new": 1}, "its options something_new"),
    ],
)
def test_other_architectures_are_refused_by_name(
    clip: XCLIP, values: dict[str, Any], tmp_path: Path, part: str, change: dict[str, Any], message: str
) -> None:
    values["model_cfg"][part] |= change
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    save_file(published(clip), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match=message):
        crossframe.load(tmp_path)


def test_a_coca_is_refused_by_name(clip: XCLIP, values: dict[str, Any], tmp_path: Path) -> None:
    values["model_cfg"]["multimodal_cfg"] = {"layers": 12}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    save_file(published(clip), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="it is a CoCa, whose text encoder also writes captions"):
        crossframe.load(tmp_path)


def test_what_open_clip_published_goes_to_transformers_too(clip: XCLIP, values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(values))
    save_file(published(clip), tmp_path / "open_clip_model.safetensors")
    model = crossframe.load(tmp_path, "cpu")
    assert model.config.vision.resize == "bicubic_smooth"
    crossframe.save(model, tmp_path / "theirs", "transformers")
    again = crossframe.load(tmp_path / "theirs", "cpu")
    assert same_weights(again, model)
