"""Random models of transformers give the same numbers here: SigLIP, SigLIP 2 of fixed size, MetaCLIP 2 and TIPSv2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from torch import Tensor
from transformers import (
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedModel,
    SiglipConfig,
    SiglipModel,
    Tipsv2Config,
    Tipsv2Model,
)

import crossframe
from crossframe.cli.shared import open_recognizer
from crossframe.weights.errors import WeightsError

_VISION = {"num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
_TEXT = {"num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99, "max_position_embeddings": 12}
_TEXT |= {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}


def siglip(vocabulary: int = 99, activation: str = "gelu_pytorch_tanh") -> SiglipModel:
    sizes = {"hidden_size": 48, "intermediate_size": 80, "hidden_act": activation}
    text = {**_TEXT, **sizes, "vocab_size": vocabulary}
    return SiglipModel(SiglipConfig(text_config=text, vision_config={**_VISION, **sizes}))


def metaclip2() -> MetaClip2Model:
    text = {**_TEXT, "hidden_size": 32, "intermediate_size": 48, "bos_token_id": 0, "eos_token_id": 2}
    vision = {**_VISION, "hidden_size": 48, "intermediate_size": 80}
    config = MetaClip2Config(text_config=text, vision_config=vision, projection_dim=40)
    return MetaClip2Model(config)


def tipsv2() -> Tipsv2Model:
    text = {**_TEXT, "hidden_size": 48, "intermediate_size": 80, "pad_token_id": 0, "eos_token_id": None}
    vision = {**_VISION, "hidden_size": 48, "mlp_ratio": 2, "num_register_tokens": 3}
    return Tipsv2Model(Tipsv2Config(text_config=text, vision_config=vision, temperature_init_value=0.1))


def tokens(start: list[int], end: list[int], pad: int) -> Tensor:
    """A short text, a middling one, and one that fills the context."""
    rows = [[*start, *range(7, 7 + words), *end] for words in (2, 6, 12 - len(start) - len(end))]
    return torch.tensor([row + [pad] * (12 - len(row)) for row in rows])


KINDS: dict[str, tuple[Callable[[], PreTrainedModel], Tensor]] = {
    "SigLIP": (siglip, tokens([], [1], 1)),
    "SigLIP 2": (lambda: siglip(120), tokens([], [1], 0)),
    "SigLIP, other activation": (lambda: siglip(activation="gelu"), tokens([], [1], 1)),
    "MetaCLIP 2": (metaclip2, tokens([0], [2], 1)),
    "TIPSv2": (tipsv2, tokens([], [], 0)),
}


def publish(theirs: PreTrainedModel, folder: Path) -> None:
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name == "temperature":
                continue
            _ = torch.nn.init.normal_(parameter, std=0.2)
    theirs.double().eval().save_pretrained(folder)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_there_and_here(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(11)
    make, ids = KINDS[kind]
    theirs = make()
    publish(theirs, tmp_path)
    ours = crossframe.load(tmp_path, "cpu")
    assert ours.dtype == torch.float64
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    more: dict[str, Any] = {"attention_mask": (ids != 0).long()} if kind == "TIPSv2" else {}
    expected = theirs(input_ids=ids, pixel_values=images, **more).logits_per_image
    exact = {"rtol": 0.0, "atol": 1e-6 if kind == "TIPSv2" else 1e-9}  # its sines are in single precision there
    torch.testing.assert_close(ours(images.unsqueeze(1), ids), expected, **exact)
    vision, _ = ours.vision(images.unsqueeze(1))
    image = theirs.get_image_features(pixel_values=images).pooler_output
    torch.testing.assert_close(vision[:, 0], image, rtol=0.0, atol=1e-9)


def test_a_temperature_of_the_config_alone_is_the_scale(tmp_path: Path) -> None:
    publish(tipsv2(), tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    stored = crossframe.load(tmp_path, "cpu").logit_scale.detach()
    del kept["temperature"]  # as Google publishes it
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    told = crossframe.load(tmp_path, "cpu").logit_scale.detach()
    assert float(told) == pytest.approx(float(stored), rel=1e-6)
    assert float(told.exp()) == pytest.approx(10.0, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "part", "change", "message"),
    [
        ("SigLIP", "vision_config", {"vision_use_head": False}, "without the attention pool"),
        ("SigLIP", "text_config", {"projection_size": 40}, "its text projection_size 40 is not"),
        ("TIPSv2", "vision_config", {"use_swiglu_ffn": True}, "its use_swiglu_ffn or qkv_bias differs"),
        ("TIPSv2", "text_config", {"pad_token_id": 3}, "its text is padded with 3"),
        ("SigLIP", "vision_config", {"num_channels": 1}, "its images have 1 channels"),
    ],
)
def test_what_no_published_model_has_is_refused(
    kind: str, part: str, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    publish(KINDS[kind][0](), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values[part] |= change
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(WeightsError, match=message):
        crossframe.load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "mean", "short_side"), [("SigLIP", 0.5, None), ("TIPSv2", 0.0, None), ("MetaCLIP 2", 0.48145466, 32)]
)
def test_without_a_file_images_are_those_of_the_family(
    kind: str, mean: float, short_side: int | None, tmp_path: Path
) -> None:
    publish(KINDS[kind][0](), tmp_path)
    images = crossframe.load(tmp_path, "cpu").preprocess
    assert (images.mean[0], images.short_side, images.antialias) == (mean, short_side, True)
    processor = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.1] * 3, "image_std": [0.2] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor | {"do_center_crop": False}))
    images = crossframe.load(tmp_path, "cpu").preprocess
    assert (images.mean[0], images.std[0], images.short_side) == (0.1, 0.2, None)


def test_a_command_that_needs_words_says_which_folder_has_no_tokenizer(tmp_path: Path) -> None:
    publish(siglip(), tmp_path)
    with pytest.raises(ValueError, match=r"no tokenizer\.json beside its weights; copy that of the model") as caught:
        open_recognizer(str(tmp_path), "cpu", 0, None, 60.0)
    assert str(caught.value).startswith(str(tmp_path))
    assert open_recognizer(str(tmp_path), "cpu", 0, None, 60.0, words=False).model.tokenizer is None


def test_a_folders_own_words_are_read_and_kept(tmp_path: Path) -> None:
    words = ["<pad>", "</s>", "<unk>", "a", "red", "circle"]
    backend = Backend(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    publish(siglip(len(words)), tmp_path)
    without = crossframe.load(tmp_path, "cpu")
    with pytest.raises(ValueError, match="this model has no tokenizer"):
        without.tokenize("a red circle")  # CLIP's would be other words
    backend.save(str(tmp_path / "tokenizer.json"))
    model = crossframe.expand(crossframe.load(tmp_path, "cpu"), 4)
    expected = [[3, 4, 5, *[1] * 9]]
    assert model.tokenize("A red_circle!").tolist() == expected
    crossframe.save(model, tmp_path / "ours")
    assert crossframe.load(tmp_path / "ours", "cpu").tokenize("A red_circle!").tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gets_clip_and_x_clip_alone(kind: str, tmp_path: Path) -> None:
    publish(KINDS[kind][0](), tmp_path)
    model = crossframe.load(tmp_path, "cpu")
    for given in (model, crossframe.expand(model, 4)):
        with pytest.raises(WeightsError, match="save in our own format"):
            crossframe.save(given, tmp_path / "theirs", "transformers")
