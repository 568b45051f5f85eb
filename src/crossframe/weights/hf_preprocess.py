"""`preprocessor_config.json` of Hugging Face's image processors to our preprocessing, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossframe.video.transform import Preprocess
from crossframe.weights.errors import WeightsError

_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers


def preprocess_from_hf(values: Mapping[str, Any], size: int) -> Preprocess:
    """The preprocessing that the file describes, at the model's `size`.

    Raises `WeightsError` when the file asks for something that the model cannot take or this software cannot do.
    """
    if not values.get("do_resize", True):
        raise WeightsError("its preprocessing does not resize, and videos come in all sizes")
    if not values.get("do_rescale", True) or abs(values.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3:
        raise WeightsError("its preprocessing does not scale colours to 0..1")
    resample = values.get("resample", _BILINEAR)
    if resample not in (_BILINEAR, _BICUBIC):
        raise WeightsError(f"its resampling filter {resample} is not supported; bilinear (2) and bicubic (3) are")
    normalise = values.get("do_normalize", True)
    return Preprocess(
        size,
        _short_side(values, size),
        _colour(values.get("image_mean"), 0.5) if normalise else (0.0, 0.0, 0.0),
        _colour(values.get("image_std"), 0.5) if normalise else (1.0, 1.0, 1.0),
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
    """The length that the short side is resized to before the centre crop; None if the whole frame is squeezed."""
    asked = values.get("size", {"shortest_edge": size})
    if isinstance(asked, int):
        asked = {"shortest_edge": asked}
    crop = values.get("crop_size", size) if values.get("do_center_crop", True) else asked
    sides = set(crop.values()) if isinstance(crop, dict) else {crop}
    if sides != {size}:
        raise WeightsError(f"its preprocessing makes pictures of {sorted(sides)}, and the model takes {size} x {size}")
    return asked.get("shortest_edge")


def _colour(values: list[float] | None, default: float) -> tuple[float, float, float]:
    red, green, blue = values or [default] * 3
    return float(red), float(green), float(blue)
