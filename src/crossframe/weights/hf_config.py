"""Hugging Face's `config.json` (XCLIPModel, CLIPModel, ViTModel) and `preprocessor_config.json` to ours, and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crossframe.model.config import BEYOND_CLIP, Activation, ModelConfig, VisionConfig
from crossframe.model.preprocess import Preprocess
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.infer import head_count

log = logging.getLogger(__name__)

_ACTIVATIONS: dict[str, Activation] = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
_HF_ACTIVATIONS: dict[Activation, str] = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "silu": "silu",
    "relu": "relu",
}

# transformers leaves out of config.json what has its default value.
_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "num_channels": 3,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_MIT = {
    "mit_hidden_size": 512,
    "mit_intermediate_size": 2048,
    "mit_num_hidden_layers": 1,
    "mit_num_attention_heads": 8,
    "num_frames": 8,
}
_XCLIP = {
    "projection_dim": 512,
    "prompt_layers": 2,
    "prompt_alpha": 0.1,
    "prompt_hidden_act": "quick_gelu",
    "prompt_num_attention_heads": 8,
}
_VIT = {"num_attention_heads": 12, "hidden_act": "gelu", "layer_norm_eps": 1e-12}

_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers


def config_from_hf(values: Mapping[str, Any]) -> ModelConfig:
    """The config of an `XCLIPModel` or a `CLIPModel`.

    Raises `WeightsError` or `ConfigError` when the file describes something else.
    """
    kind = values.get("model_type")
    if kind == "vit" or "architecture" in values:
        raise WeightsError("it is an image encoder without words: see crossframe.weights.replace_vision")
    if kind not in ("xclip", "clip"):
        raise WeightsError(f"its model_type is {kind!r}; the known ones are 'xclip' and 'clip'")
    text, vision = section(values, "text", _TEXT), section(values, "vision", {**_VISION, **_MIT})
    top = {**_XCLIP, **values}
    embed_dim = top["projection_dim"]
    result: dict[str, Any] = {
        "vision": {**_vision(vision), "mixing": "cross_frame" if kind == "xclip" else "none"},
        "text": tower(text) | {"vocab_size": text["vocab_size"], "context_length": text["max_position_embeddings"]},
        "embed_dim": embed_dim,
    }
    if kind == "clip":
        _check_end_token(text)
        return ModelConfig.from_dict(result)
    if vision["mit_hidden_size"] != embed_dim:
        raise WeightsError(f"its mit_hidden_size {vision['mit_hidden_size']} is not its projection_dim {embed_dim}")
    if text["layer_norm_eps"] != vision["layer_norm_eps"]:
        raise WeightsError("its text and vision layer_norm_eps differ, which the prompt layers would have to mix")
    result["num_frames"] = vision["num_frames"]
    result["mit"] = {
        "layers": vision["mit_num_hidden_layers"],
        "heads": vision["mit_num_attention_heads"],
        "mlp_width": vision["mit_intermediate_size"],
        "activation": _activation(vision["hidden_act"]),
        "norm_eps": vision["layer_norm_eps"],
    }
    result["prompts"] = {
        "layers": top["prompt_layers"],
        "heads": top["prompt_num_attention_heads"],
        "mlp_width": 4 * embed_dim,
        "alpha": top["prompt_alpha"],
        "activation": _activation(top["prompt_hidden_act"]),
        "norm_eps": vision["layer_norm_eps"],
    }
    return ModelConfig.from_dict(result)


def with_authors_heads(config: ModelConfig) -> ModelConfig:
    """The config with the authors' number of heads in the multi-frame and prompt layers, one for each 64 channels.

    The hub's conversion of the authors' large models kept a default of 8 where they trained with 12. The shapes are the
    same, the results are not.
    """
    if config.mit is None or config.prompts is None:
        return config
    heads = head_count(config.embed_dim)
    if (config.mit.heads, config.prompts.heads) != (heads, heads):
        log.warning(
            "multi-frame and prompt layers get the authors' %d heads, not the %d of config.json",
            heads,
            config.mit.heads,
        )
    return replace(config, mit=replace(config.mit, heads=heads), prompts=replace(config.prompts, heads=heads))


def vit_from_hf(values: Mapping[str, Any], shapes: VisionConfig) -> VisionConfig:
    """The config of a `ViTModel`: what its shapes do not tell comes from its config file."""
    if values.get("model_type") != "vit":
        raise WeightsError(f"its model_type is {values.get('model_type')!r}; the known image encoder is 'vit'")
    known = {**_VIT, **values}
    return replace(
        shapes,
        heads=known["num_attention_heads"],
        activation=_activation(known["hidden_act"]),
        norm_eps=known["layer_norm_eps"],
    )


def config_to_hf(config: ModelConfig) -> dict[str, Any]:
    """The content of `config.json` with which transformers builds the same model.

    Raises `WeightsError` when it has no such model: it knows plain CLIP, and X-CLIP with all three ideas.
    """
    whole = config.vision.mixing == "cross_frame" and config.mit is not None and config.prompts is not None
    plain = config.vision.mixing == "none" and config.mit is None and config.prompts is None
    if config.text is None or not (whole or plain):
        raise WeightsError("transformers has CLIP and the whole X-CLIP, nothing in between: save in our own format")
    told = config.to_dict()
    # How positions are resized is a matter of loading.
    if odd := (BEYOND_CLIP - {"resize"}) & (told.keys() | told["vision"].keys() | told["text"].keys()):
        raise WeightsError(f"transformers' CLIP and X-CLIP have no {shorten(odd)}: save in our own format")
    kind = "xclip" if whole else "clip"
    vision = _to_hf_tower(config.vision) | {
        "image_size": config.vision.image_size,
        "patch_size": config.vision.patch_size,
    }
    text = _to_hf_tower(config.text) | {
        "vocab_size": config.text.vocab_size,
        "max_position_embeddings": config.text.context_length,
        "bos_token_id": config.text.vocab_size - 2,
        "eos_token_id": config.text.vocab_size - 1,
        "pad_token_id": 0,
    }
    values: dict[str, Any] = {
        "architectures": ["XCLIPModel" if whole else "CLIPModel"],
        "model_type": kind,
        "projection_dim": config.embed_dim,
        "text_config": text | {"model_type": f"{kind}_text_model"},
        "vision_config": vision | {"model_type": f"{kind}_vision_model"},
    }
    if config.mit and config.prompts:
        values["vision_config"] |= {
            "num_frames": config.num_frames,
            "mit_hidden_size": config.embed_dim,
            "mit_intermediate_size": config.mit.mlp_width,
            "mit_num_hidden_layers": config.mit.layers,
            "mit_num_attention_heads": config.mit.heads,
        }
        values |= {
            "prompt_layers": config.prompts.layers,
            "prompt_alpha": config.prompts.alpha,
            "prompt_hidden_act": _HF_ACTIVATIONS[config.prompts.activation],
            "prompt_num_attention_heads": config.prompts.heads,
        }
    else:
        text["projection_dim"] = vision["projection_dim"] = config.embed_dim
    _check_round_trip(config, values)
    return values


def _check_round_trip(config: ModelConfig, values: dict[str, Any]) -> None:
    """Raise WeightsError where transformers' config would lose something: the round trip must change nothing."""
    back = config_from_hf(values).to_dict()
    wanted = replace(config, vision=replace(config.vision, drop_path=0.0, resize="bicubic")).to_dict()
    if config.mit is None:
        wanted["num_frames"] = back["num_frames"]  # a mean takes any number
    ours, theirs = _flat(wanted), _flat(back)
    lost = [
        f"{name} {ours.get(name)!r}, which is {theirs.get(name)!r} there"
        for name in dict.fromkeys([*ours, *theirs])  # a part that is none here has fields there alone
        if ours.get(name) != theirs.get(name)
    ]
    if lost:
        raise WeightsError(f"transformers cannot hold {shorten(lost)}: save in our own format")


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Each field under its whole name, such as mit.activation."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def section(values: Mapping[str, Any], part: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """One tower's entries. Old files have a second, equal or better, copy under `text_config_dict`."""
    return {**defaults, **(values.get(f"{part}_config_dict") or values.get(f"{part}_config") or {})}


def tower(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "width": section["hidden_size"],
        "layers": section["num_hidden_layers"],
        "heads": section["num_attention_heads"],
        "mlp_width": section["intermediate_size"],
        "activation": _activation(section["hidden_act"]),
        "norm_eps": section["layer_norm_eps"],
    }


def _vision(section: Mapping[str, Any]) -> dict[str, Any]:
    check_channels(section)
    return tower(section) | {name: side(section, name) for name in ("image_size", "patch_size")}


def check_channels(section: Mapping[str, Any]) -> None:
    """Raises `WeightsError` unless images have three colors."""
    if section["num_channels"] != 3:
        raise WeightsError(f"its images have {section['num_channels']} channels; only 3 are supported")


def side(section: Mapping[str, Any], name: str) -> int:
    value = section[name]
    sides = set(value) if isinstance(value, list) else {value}
    if len(sides) != 1:
        raise WeightsError(f"its {name} {value} is not a square")
    return sides.pop()


def _to_hf_tower(tower: Any) -> dict[str, Any]:
    return {
        "hidden_size": tower.width,
        "intermediate_size": tower.mlp_width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "hidden_act": _HF_ACTIVATIONS[tower.activation],
        "layer_norm_eps": tower.norm_eps,
    }


def _activation(name: object) -> Activation:
    if name not in _ACTIVATIONS:
        raise WeightsError(f"its activation {name!r} is unknown; the known ones are {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[str(name)]


def _check_end_token(text: Mapping[str, Any]) -> None:
    """Texts are read out at their largest id, as transformers does when the end token is 2, as in OpenAI's files."""
    end, size = text.get("eos_token_id", 49407), text["vocab_size"]
    if end in (2, None, size - 1):
        return
    if end >= size:
        log.warning("end-of-text id %d is not among the %d ids; texts are read out at their largest id", end, size)
    else:
        raise WeightsError(
            f"its end-of-text id {end} is not the largest of its {size} ids: trim the vocabulary to {end + 1} rows"
        )


def preprocess_from_hf(values: Mapping[str, Any], size: int) -> Preprocess:
    """The preprocessing that the file describes, at the model's `size`.

    Raises `WeightsError` when the file asks for something that the model cannot take or this software cannot do.
    """
    if not values.get("do_resize", True):
        raise WeightsError("its preprocessing does not resize, and videos come in all sizes")
    if not values.get("do_rescale", True) or abs(values.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3:
        raise WeightsError("its preprocessing does not scale colors to 0..1")
    resample = values.get("resample", _BILINEAR)
    if resample not in (_BILINEAR, _BICUBIC):
        raise WeightsError(f"its resampling filter {resample} is not supported; bilinear (2) and bicubic (3) are")
    normalize = values.get("do_normalize", True)
    return Preprocess(
        size,
        _short_side(values, size),
        _color(values.get("image_mean"), 0.5) if normalize else (0.0, 0.0, 0.0),
        _color(values.get("image_std"), 0.5) if normalize else (1.0, 1.0, 1.0),
        interpolation="bicubic" if resample == _BICUBIC else "bilinear",
        antialias=True,  # as Pillow always does
    )


def preprocess_to_hf(preprocess: Preprocess, *, video: bool) -> dict[str, Any]:
    """The content of `preprocessor_config.json` that comes closest.

    Hugging Face's processors always smooth when they shrink a picture; the authors of X-CLIP did not.
    """
    size, short_side = preprocess.size, preprocess.short_side
    return {
        "processor_class": "XCLIPProcessor" if video else "CLIPProcessor",
        "image_processor_type": "VideoMAEImageProcessor" if video else "CLIPImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size} if short_side is None else {"shortest_edge": short_side},
        "resample": _BICUBIC if preprocess.interpolation == "bicubic" else _BILINEAR,
        "do_center_crop": short_side is not None,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
    }


def _short_side(values: Mapping[str, Any], size: int) -> int | None:
    """The length that the short side is resized to before the center crop; None if the whole frame is squeezed."""
    asked = values.get("size", {"shortest_edge": size})
    if isinstance(asked, int):
        asked = {"shortest_edge": asked}
    crop = values.get("crop_size", size) if values.get("do_center_crop", True) else asked
    sides = set(crop.values()) if isinstance(crop, dict) else {crop}
    if sides != {size}:
        raise WeightsError(f"its preprocessing makes pictures of {sorted(sides)}, and the model takes {size} x {size}")
    return asked.get("shortest_edge")


def _color(values: list[float] | None, default: float) -> tuple[float, float, float]:
    red, green, blue = values or [default] * 3
    return float(red), float(green), float(blue)
