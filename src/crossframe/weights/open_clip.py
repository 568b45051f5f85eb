"""`open_clip_config.json` to our config. Options that the model has no place for are refused by name.

It names an image encoder that open_clip takes from timm and does not describe it: what its tensors' shapes do not tell
(heads, activation, epsilon of the norms, rotary positions) is in timm's registry alone, and here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from crossframe.text.conventions import CLEANING
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.families import OPEN_CLIP_TIMM
from crossframe.weights.infer import conventions_for, default_tokenizer, infer_config
from crossframe.weights.tables import OPENAI, Layout

# Entries that tensors' shapes already tell or that are read below (None stands for any value), and options at the only
# value that is supported.
_MODEL = {
    "embed_dim": None,
    "vision_cfg": None,
    "text_cfg": None,
    "quick_gelu": None,
    "custom_text": None,
    "init_logit_bias": None,
    "init_logit_scale": None,
    "nonscalar_logit_scale": False,
}
_TRUNK = {
    "image_size": None,
    "timm_model_name": None,
    "timm_model_pretrained": None,
    "timm_pool": None,
    "timm_proj": None,
    "timm_proj_bias": None,
    "timm_drop": None,  # only in training
    "timm_drop_path": None,
}
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
    "pool_type": None,
    "eos_id": None,
    "no_causal_mask": None,
    "act_kwargs": None,
    "hf_tokenizer_name": None,
    "tokenizer_kwargs": None,
    "final_ln_after_pool": False,
    "output_tokens": False,
    "proj_bias": None,
    "proj_type": "linear",
    "ls_init_value": None,
}


_READ = {"argmax": "largest", "eos": "end", "last": "last"}

_HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16, "so400m": 16, "huge": 16, "giantopt": 16, "gigantic": 16}

_SIGLIP_TRUNK = {"norm_eps": 1e-6, "resize": "bicubic_smooth"}
_CLIP_TRUNK = {"norm_eps": 1e-5, "resize": "bicubic_smooth"}
# A pattern for names, whose group is the size, and the fields of `VisionConfig`; the first that matches counts.
_TRUNKS: tuple[tuple[str, dict[str, Any]], ...] = (
    # Which GELU a SigLIP has differs from size to size.
    (r"vit_(base)_patch32_siglip_256", _SIGLIP_TRUNK | {"activation": "gelu_tanh"}),
    (r"vit_(large)_patch16_siglip_512", _SIGLIP_TRUNK | {"activation": "gelu_tanh"}),
    (r"vit_(so400m)_patch16_siglip_\d+", _SIGLIP_TRUNK | {"activation": "gelu_tanh"}),
    (r"vit_(giantopt)_patch16_siglip_\d+", _SIGLIP_TRUNK | {"activation": "gelu_tanh"}),
    (r"vit_(base|large|so400m)_patch1[46]_siglip_\d+", _SIGLIP_TRUNK | {"activation": "gelu"}),
    # Away from the trained size, as Meta does: positions bilinear, rotary positions in whole steps.
    (
        r"vit_pe_core_(tiny|small|base|large|gigantic)_patch1[46]_\d+",
        {"norm_eps": 1e-5, "activation": "gelu", "rotary": "pe", "pool_heads": 8, "resize": "bilinear"},
    ),
    (
        r"eva02_(base|large)_patch1[46]_clip_\d+",
        {"norm_eps": 1e-6, "activation": "silu", "rotary": "eva", "resize": "bicubic_smooth"},
    ),
    (
        r"vit_(base)_mci_224",
        {"norm_eps": 1e-6, "activation": "gelu", "class_token": "unplaced", "resize": "bicubic_smooth"},
    ),
    (r"vit_(base|large|huge)_patch(?:14|16|32)_clip_\d+", _CLIP_TRUNK | {"activation": "gelu"}),
    (r"vit_(base|large|huge)_patch(?:14|16|32)_clip_quickgelu_\d+", _CLIP_TRUNK | {"activation": "quick_gelu"}),
)
# What is known and left out, with the reason.
_REFUSED = (
    (r"naflex.*", "NaFlex takes images of any shape, and this software works on squares of one size"),
    (r"aimv2.*", "AIMv2 has another block (RMS norms) and is not supported"),
    (r"(resnet|convnext|fastvit|mobilenet|vitamin).*", "it is convolutional; only vision transformers are supported"),
)


def layout_of(values: Mapping[str, Any]) -> Layout:
    """The layout of the weights beside this file. Raises `WeightsError` for architectures that are not supported."""
    model = values["model_cfg"]
    if "multimodal_cfg" in model:
        raise WeightsError("it is a CoCa, whose text encoder also writes captions: not supported")
    vision, text = model["vision_cfg"], model["text_cfg"]
    if text.get("hf_model_name"):
        raise WeightsError(
            f"its hf_model_name is {text['hf_model_name']!r}: towers from Hugging Face are not supported"
        )
    if isinstance(vision.get("layers"), list):
        raise WeightsError("its image encoder is a ResNet; only vision transformers are supported")
    trunk = vision.get("timm_model_name")
    if trunk:
        _vision_facts(trunk)
    elif model.get("custom_text"):
        raise WeightsError("its options custom_text go with image encoders of timm alone")
    for part, known in ((model, _MODEL), (vision, _TRUNK if trunk else _VISION), (text, _TEXT)):
        if unknown := [key for key, value in part.items() if not _is_plain(key, value, known)]:
            raise WeightsError(f"its options {shorten(unknown)} are not those of a known model, and not supported")
    if text.get("pool_type", "argmax") not in _READ:
        raise WeightsError(f"its text is read by pool_type {text['pool_type']!r}; known are {', '.join(_READ)}")
    return OPEN_CLIP_TIMM if trunk else OPENAI


def config_from_open_clip(values: Mapping[str, Any], tensors: Mapping[str, Tensor], layout: Layout) -> ModelConfig:
    """The config of tensors under our names: shapes from them, heads, activations and norms from the file."""
    model = values["model_cfg"]
    vision, text = model["vision_cfg"], model["text_cfg"]
    activation = "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    if layout is OPEN_CLIP_TIMM:
        facts = _vision_facts(vision["timm_model_name"])
    else:
        width = tensors["vision.post_norm.weight"].shape[0]
        heads = width // vision.get("head_width", 64)
        facts = {"heads": heads, "activation": activation, "norm_eps": _eps(vision), "resize": "bicubic_smooth"}
    if (text.get("act_kwargs") or {}).get("approximate") == "tanh":
        activation = "gelu_tanh"
    read = _READ[text.get("pool_type", "argmax")]
    words = {
        "heads": text.get("heads", 8),
        "activation": activation,
        "norm_eps": _eps(text),
        "causal": not text.get("no_causal_mask", False),
        "read": read,
        # the end token: as given for those read at it, and SentencePiece's own for those read behind it
        "end_id": {"largest": 0, "end": text.get("eos_id", 2), "last": 1}[read],
    }
    return infer_config(tensors, layout, vision=facts, text=words)


def tokenizer_of(values: Mapping[str, Any], config: ModelConfig, folder: Path) -> Tokenizer | None:
    """The tokenizer: CLIP's own, or that of the folder where the file names another one."""
    text = values["model_cfg"]["text_cfg"]
    if not text.get("hf_tokenizer_name"):
        return default_tokenizer(config, folder)
    asked = (text.get("tokenizer_kwargs") or {}).get("clean", "whitespace")
    if asked not in CLEANING:
        raise WeightsError(f"its texts are cleaned by {asked!r}; known are {', '.join(CLEANING)}")
    return default_tokenizer(config, folder, conventions_for(config.text, asked, folder))


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


def _vision_facts(name: str) -> dict[str, Any]:
    """The fields of `VisionConfig`, and `pool_heads`, that a trunk's shapes do not tell. Raises `WeightsError`."""
    plain = name.partition(".")[0]  # without the tag of its weights
    for pattern, facts in _TRUNKS:
        if match := re.fullmatch(pattern, plain):
            return facts | {"heads": _HEADS[match[1]]}
    for pattern, reason in _REFUSED:
        if re.fullmatch(pattern, plain):
            raise WeightsError(f"its image encoder is timm's {name!r}: {reason}")
    raise WeightsError(
        f"its image encoder is timm's {name!r}, which is unknown; known are those of SigLIP, SigLIP 2, PE-Core, "
        "EVA-02, MobileCLIP2-B and CLIP"
    )
