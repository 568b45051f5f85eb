"""`config.json` of Hugging Face's models beyond CLIP and X-CLIP: a reader for each `model_type`, and those refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.text.conventions import Cleaning
from crossframe.weights.errors import WeightsError
from crossframe.weights.families import HF_SIGLIP, TIPSV2
from crossframe.weights.hf_config import check_channels, config_from_hf, section, side, tower
from crossframe.weights.tables import HF_CLIP, Layout

# transformers leaves out of config.json what has its default value.
_SIGLIP_TOWER = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_SIGLIP_TEXT = _SIGLIP_TOWER | {"vocab_size": 32000, "max_position_embeddings": 64}
_SIGLIP_VISION = _SIGLIP_TOWER | {"image_size": 224, "patch_size": 16, "num_channels": 3, "vision_use_head": True}
_TIPSV2_TEXT = _SIGLIP_TEXT | {
    "hidden_act": "relu",
    "layer_norm_eps": 1e-5,
    "pad_token_id": 0,
    "scale_sqrt_depth": True,
}
_TIPSV2_VISION = _SIGLIP_TOWER | {
    "hidden_act": "gelu",
    "image_size": 448,
    "patch_size": 14,
    "num_channels": 3,
    "mlp_ratio": 4,
    "num_register_tokens": 1,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
}
_TIPSV2_TEMPERATURE = 0.005065968260169029
_HALF = (0.5, 0.5, 0.5)


def siglip_from_hf(values: Mapping[str, Any]) -> ModelConfig:
    """A `SiglipModel`: SigLIP, and SigLIP 2 of fixed size."""
    text, vision = section(values, "text", _SIGLIP_TEXT), section(values, "vision", _SIGLIP_VISION)
    check_channels(vision)
    if not vision["vision_use_head"]:
        raise WeightsError("its vision_use_head is false: without the attention pool it has no image embedding")
    width = vision["hidden_size"]
    if text.get("projection_size", text["hidden_size"]) != width:
        raise WeightsError(
            f"its text projection_size {text['projection_size']} is not the image encoder's width {width}"
        )
    return ModelConfig.from_dict(
        {
            "vision": tower(vision)
            | {name: side(vision, name) for name in ("image_size", "patch_size")}
            | {"pre_norm": False, "patch_bias": True, "mixing": "none", "class_token": "none", "projection": "none"}
            | {"pool": {"heads": vision["num_attention_heads"], "mlp_width": vision["intermediate_size"]}}
            | {"resize": "bicubic_smooth", "message_from": "patches"},
            "text": tower(text)
            | {"vocab_size": text["vocab_size"], "context_length": text["max_position_embeddings"]}
            | {"causal": False, "read": "last", "end_id": 1, "projection": "biased"},
            "embed_dim": width,
            "logit_bias": True,
        }
    )


def metaclip2_from_hf(values: Mapping[str, Any]) -> ModelConfig:
    """A `MetaClip2Model`: a CLIP whose texts are read at the first end token, which is not the largest id."""
    plain = config_from_hf({**values, "model_type": "clip", "text_config": _read_anywhere(values)}).to_dict()
    end = (values.get("text_config") or {}).get("eos_token_id", 2)
    plain["text"] |= {"read": "end", "end_id": end}
    plain["vision"] |= {"resize": "bicubic_smooth"}
    return ModelConfig.from_dict(plain)


def _read_anywhere(values: Mapping[str, Any]) -> dict[str, Any]:
    """Their text section without its end token, which CLIP's reader would look at."""
    return {**(values.get("text_config") or {}), "eos_token_id": None}


def tipsv2_from_hf(values: Mapping[str, Any]) -> ModelConfig:
    """A `Tipsv2Model`: DINOv2's image encoder, and a text encoder that is read at the mean of its tokens."""
    text, vision = section(values, "text", _TIPSV2_TEXT), section(values, "vision", _TIPSV2_VISION)
    check_channels(vision)
    if vision["use_swiglu_ffn"] or not vision["qkv_bias"]:
        raise WeightsError("its use_swiglu_ffn or qkv_bias differs from every published TIPSv2, and is not supported")
    if text["pad_token_id"] != 0:
        raise WeightsError(f"its text is padded with {text['pad_token_id']}; only 0 is supported")
    width = vision["hidden_size"]
    vision["intermediate_size"] = int(width * vision["mlp_ratio"])
    return ModelConfig.from_dict(
        {
            "vision": tower(vision)
            | {name: side(vision, name) for name in ("image_size", "patch_size")}
            | {"pre_norm": False, "patch_bias": True, "mixing": "none", "block": "scaled", "projection": "none"}
            | {"registers": vision["num_register_tokens"], "resize": "bilinear_smooth"},
            "text": tower(text)
            | {"vocab_size": text["vocab_size"], "context_length": text["max_position_embeddings"]}
            | {"causal": False, "read": "mean", "positions": "sines", "projection": "none"}
            | {"embed_scale": math.sqrt(text["hidden_size"]) if text["scale_sqrt_depth"] else 1.0},
            "embed_dim": width,
        }
    )


def missing_scale(values: Mapping[str, Any]) -> float:
    """The logit scale of a file that has none: TIPSv2's temperature stands in its config alone."""
    return -math.log(values.get("temperature_init_value", _TIPSV2_TEMPERATURE))


class Family(NamedTuple):
    """How a `model_type` is read: its config, its tensors, its words, and its images where no file describes them."""

    config: Callable[[Mapping[str, Any]], ModelConfig]
    layout: Layout
    cleaning: Cleaning
    images: Callable[[int], Preprocess]


def _siglip_images(size: int) -> Preprocess:
    return Preprocess(size, None, _HALF, _HALF, "bicubic", antialias=True)


def _tipsv2_images(size: int) -> Preprocess:
    return Preprocess(size, None, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), antialias=True)


READERS = {
    "siglip": Family(siglip_from_hf, HF_SIGLIP, "canonicalize", _siglip_images),
    "metaclip_2": Family(metaclip2_from_hf, HF_CLIP, "whitespace", Preprocess.clip),
    "tipsv2": Family(tipsv2_from_hf, TIPSV2, "lower", _tipsv2_images),
}
REFUSED = {
    "siglip2": "NaFlex takes images of any shape, and this software works on squares: take a SigLIP 2 of fixed size",
    "aimv2": "AIMv2 has another block (RMS norms) and is not supported",
    "videoprism": "VideoPrism is a video model already, with another image encoder: not supported",
    "siglip_vision_model": "it is an image encoder without words; load the whole SigLIP",
    "dinov2": "it is an image encoder without words",
    "dinov3_vit": "it is an image encoder without words",
}
