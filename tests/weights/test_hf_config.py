"""Folders in the layout of transformers: what it opens of ours, and its corner cases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoProcessor, AutoTokenizer

import crossframe
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import IMAGENET_STD, Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights import WeightsError
from crossframe.weights.tables import HF_XCLIP
from tests.weights.files import edit
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights


@pytest.fixture
def words() -> XCLIP:
    """A small model with CLIP's vocabulary."""
    model = make(replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, vocab_size=49408)))
    model.tokenizer = Tokenizer.clip(16)
    return model


def test_transformers_own_tools_open_what_we_save(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path, "transformers")
    labels = ["Arm wrestling", "  cleaning  a pool!"]
    theirs = AutoTokenizer.from_pretrained(tmp_path)(labels, padding="max_length", return_tensors="pt")
    ours = words.tokenize(labels)
    for row, mask, expected in zip(theirs["input_ids"], theirs["attention_mask"], ours, strict=True):
        assert row[mask.bool()].tolist() == expected[expected > 0].tolist()
    processor = AutoProcessor.from_pretrained(tmp_path)
    frames = torch.randint(0, 256, (4, 3, 64, 48), dtype=torch.uint8)
    pixels = processor(videos=list(frames.permute(0, 2, 3, 1).numpy()), return_tensors="pt")["pixel_values"]
    loaded = crossframe.load(tmp_path)
    # Pillow rounds to whole gray levels after each pass; ours does not.
    assert (loaded.prepare(frames) - pixels).abs().max() < 0.03


def test_the_folders_pictures_are_followed(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path, "transformers")
    edit(tmp_path / "preprocessor_config.json", size=40, crop_size=32, resample=3, image_mean=[0.5] * 3)
    loaded = crossframe.load(tmp_path)
    assert loaded.preprocess == Preprocess(32, 40, (0.5,) * 3, IMAGENET_STD, "bicubic", antialias=True)
    edit(tmp_path / "preprocessor_config.json", size={"height": 32, "width": 32}, do_center_crop=False)
    assert crossframe.load(tmp_path).preprocess.short_side is None
    (tmp_path / "preprocessor_config.json").unlink()
    assert crossframe.load(tmp_path).preprocess == Preprocess.xclip(32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_size": 48}, r"makes pictures of \[48\], and the model takes 32 x 32"),
        ({"do_resize": False}, "does not resize"),
        ({"rescale_factor": 1.0}, "does not scale colors"),
        ({"resample": 1}, "filter 1 is not supported"),
        ({"image_mean": ["red"]}, "preprocessor_config"),
    ],
)
def test_pictures_that_the_model_cannot_take(
    words: XCLIP, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    crossframe.save(words, tmp_path, "transformers")
    edit(tmp_path / "preprocessor_config.json", **change)
    with pytest.raises(WeightsError, match=message):
        crossframe.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "altclip"}, "describes a model of type 'altclip'; known are"),
        ({"model_type": "siglip2"}, "NaFlex takes images of any shape"),
        ({"model_type": "videoprism"}, "VideoPrism is a video model already"),
        ({"model_type": "siglip_vision_model"}, "an image encoder without words"),
        ({"model_type": "vit"}, "image encoder without words: see crossframe.weights.replace_vision"),
        ({"projection_dim": 64}, "its mit_hidden_size 128 is not its projection_dim 64"),
        ({"projection_dim": "many"}, "mit_hidden_size"),
        ({"prompt_hidden_act": "tanh"}, "its activation 'tanh' is unknown"),
        ({"text_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps differ"),
        ({"prompt_num_attention_heads": 3}, "width 128 cannot be split over 3 heads"),
        ({"prompt_layers": 3}, r"missing .*decoder\.2"),
    ],
)
def test_configs_that_cannot_be_used(words: XCLIP, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    crossframe.save(words, tmp_path, "transformers")
    edit(tmp_path / "config.json", **change)
    with pytest.raises(WeightsError, match=message) as caught:
        crossframe.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("end", "fits"), [(2, True), (49407, True), (50000, True), (49405, False)])
def test_the_end_of_a_label_must_be_its_largest_id(tmp_path: Path, end: int, fits: bool) -> None:
    clip = make(replace(CLIP_CONFIG, text=replace(CLIP_CONFIG.text, vocab_size=49408)))
    crossframe.save(clip, tmp_path, "transformers")
    values = json.loads((tmp_path / "config.json").read_text())
    edit(tmp_path / "config.json", text_config=values["text_config"] | {"eos_token_id": end})
    if fits:
        assert same_weights(crossframe.load(tmp_path), clip)
    else:
        with pytest.raises(WeightsError, match="its end-of-text id 49405 is not the largest of its 49408 ids"):
            crossframe.load(tmp_path)


def test_of_two_files_of_weights_the_named_one_is_read(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path, "transformers")
    other = make(words.config)
    torch.save(published(other, HF_XCLIP), tmp_path / "pytorch_model.bin")
    assert same_weights(crossframe.load(tmp_path), words)
    assert same_weights(crossframe.load(tmp_path / "model.safetensors"), words)
    assert same_weights(crossframe.load(tmp_path / "pytorch_model.bin"), other)


def test_shards_outside_the_folder_are_refused(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path, "transformers")
    (tmp_path / "model.safetensors").unlink()
    index = {"weight_map": {"logit_scale": "../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="refers to files outside its folder"):
        crossframe.load(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        replace(XCLIP_CONFIG, mit=None),
        replace(XCLIP_CONFIG, prompts=None),
        replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, mixing="joint")),
        replace(XCLIP_CONFIG, text=None, prompts=None, num_classes=3),
        replace(XCLIP_CONFIG, prompts=replace(XCLIP_CONFIG.prompts, mlp_width=64)),
        replace(XCLIP_CONFIG, mit=replace(XCLIP_CONFIG.mit, activation="gelu")),
        replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, norm_eps=1e-6)),
        replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, learned_vectors=2)),
        replace(CLIP_CONFIG, vision=replace(CLIP_CONFIG.vision, pre_norm=False)),
    ],
)
def test_models_that_transformers_does_not_have(config: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        crossframe.save(make(config), tmp_path / "hf", "transformers")
    assert not (tmp_path / "hf").exists()


def test_what_transformers_cannot_hold_is_named_by_field(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        crossframe.save(crossframe.load("shapes", "cpu"), tmp_path / "hf", "transformers")
    said = "transformers cannot hold mit.activation 'quick_gelu', which is 'silu' there: save in our own format"
    assert str(caught.value) == said


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="format is 'onnx'; choose 'crossframe' or 'transformers'"):
        crossframe.save(make(), tmp_path, "onnx")  # pyright: ignore[reportArgumentType]


def test_what_transformers_5_saves_of_the_pictures_is_followed(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path / "ours", "transformers")
    edit(tmp_path / "ours" / "preprocessor_config.json", size={"shortest_edge": 40}, resample=3, image_mean=[0.5] * 3)
    expected = crossframe.load(tmp_path / "ours").preprocess
    AutoModel.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    AutoProcessor.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "preprocessor_config.json").exists()
    assert crossframe.load(tmp_path / "theirs").preprocess == expected
    edit(tmp_path / "theirs" / "processor_config.json", image_processor={"resample": 1})
    with pytest.raises(WeightsError, match=r"processor_config\.json: its resampling filter 1"):
        crossframe.load(tmp_path / "theirs")


def test_pictures_that_no_file_tells_are_said(words: XCLIP, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crossframe.save(words, tmp_path, "transformers")
    (tmp_path / "preprocessor_config.json").unlink()
    assert crossframe.load(tmp_path).preprocess == Preprocess.xclip(32)
    assert "has no preprocessor_config.json: its images are taken to be those of X-CLIP's authors" in caplog.text


def test_an_index_that_names_no_file(words: XCLIP, tmp_path: Path) -> None:
    crossframe.save(words, tmp_path, "transformers")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "a\0b"}}))
    with pytest.raises(WeightsError, match="refers to files outside its folder"):
        crossframe.load(tmp_path)
