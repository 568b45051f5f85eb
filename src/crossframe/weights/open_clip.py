"""`open_clip_config.json` to our config. Options beyond a plain CLIP are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from crossframe.weights.errors import WeightsError, shorten

# Entries that tensors' shapes already tell, and options at the value that means plain CLIP (None stands for any).
_MODEL = {"embed_dim": None, "vision_cfg": None, "text_cfg": None, "quick_gelu": None, "custom_text": False}
_VISION = {
    "image_size": None,
    "layers": None,
    "width": None,
    "patch_size": None,
    "head_width": None,
    "mlp_ratio": None,
    "norm_kwargs": None,
    "patch_dropout": None,  # only in training
    "attentional_pool": False,
    "global_average_pool": False,
    "pool_type": "tok",
    "pos_embed_type": "learnable",
    "no_ln_pre": False,
    "final_ln_after_pool": False,
    "output_tokens": False,
    "ls_init_value": None,
    "input_patchnorm": False,
}
_TEXT = {
    "context_length": None,
    "vocab_size": None,
    "width": None,
    "heads": None,
    "layers": None,
    "mlp_ratio": None,
    "norm_kwargs": None,
    "embed_cls": False,
    "pool_type": "argmax",
    "no_causal_mask": False,
    "final_ln_after_pool": False,
    "output_tokens": False,
    "proj_bias": False,
    "proj_type": "linear",
    "ls_init_value": None,
}


def check_plain(values: Mapping[str, Any]) -> None:
    """Raises `WeightsError` for towers that come from timm or Hugging Face, and for options of other architectures."""
    model = values["model_cfg"]
    vision, text = model["vision_cfg"], model["text_cfg"]
    for part, key, library in ((vision, "timm_model_name", "timm"), (text, "hf_model_name", "Hugging Face")):
        if part.get(key):
            raise WeightsError(f"its {key} is {part[key]!r}: towers from {library} are not supported, only CLIP's own")
    if isinstance(vision.get("layers"), list):
        raise WeightsError("its image encoder is a ResNet; only vision transformers are supported")
    for part, known in ((model, _MODEL), (vision, _VISION), (text, _TEXT)):
        if unknown := [key for key, value in part.items() if not _is_plain(key, value, known)]:
            raise WeightsError(f"its options {shorten(unknown)} are not those of a plain CLIP, and not supported")


def config_from_open_clip(values: Mapping[str, Any], shapes: ModelConfig) -> ModelConfig:
    """The config inferred from shapes, with heads, activations and norms from the file."""
    model = values["model_cfg"]
    vision, text = model["vision_cfg"], model["text_cfg"]
    activation = "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    vision_config = replace(
        shapes.vision,
        heads=shapes.vision.width // vision.get("head_width", 64),
        activation=activation,
        norm_eps=_eps(vision),
    )
    if shapes.text is None:
        return replace(shapes, vision=vision_config)
    text_config = replace(shapes.text, heads=text.get("heads", 8), activation=activation, norm_eps=_eps(text))
    return replace(shapes, vision=vision_config, text=text_config)


def _eps(tower: Mapping[str, Any]) -> float:
    return float((tower.get("norm_kwargs") or {}).get("eps", 1e-5))


def _is_plain(key: str, value: object, known: Mapping[str, object]) -> bool:
    return key in known and (known[key] is None or value in (known[key], None))


def preprocess_from_open_clip(values: Mapping[str, Any], size: int) -> Preprocess:
    """The preprocessing that the file describes; CLIP's own where it says nothing."""
    asked = values.get("preprocess_cfg", {})
    if asked.get("resize_mode", "shortest") not in ("shortest", "squash"):
        raise WeightsError(f"its resize_mode {asked['resize_mode']!r} is not supported; 'shortest' and 'squash' are")
    mean, std = asked.get("mean") or CLIP_MEAN, asked.get("std") or CLIP_STD
    return Preprocess(
        size,
        size if asked.get("resize_mode", "shortest") == "shortest" else None,
        (mean[0], mean[1], mean[2]),
        (std[0], std[1], std[2]),
        interpolation="bilinear" if asked.get("interpolation") == "bilinear" else "bicubic",
        antialias=True,
    )
