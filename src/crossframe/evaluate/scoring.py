"""Probabilities of labels for clips: each view's softmax, averaged, as in the paper."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossframe.model.xclip import XCLIP, VideoFeatures

Precision: TypeAlias = Literal["float32", "bfloat16"]
Crops: TypeAlias = Literal[1, 3]

ROUNDED = {torch.bfloat16, torch.float16}  # to less than float32
# Of torch's two ways to say this, the one that works whichever a program has used before.
Flag: TypeAlias = tuple[Any, str, object]
CONVOLUTIONS: tuple[Flag, ...] = (
    (torch.backends.cudnn.conv, "fp32_precision", "ieee"),  # pyright: ignore[reportAttributeAccessIssue]
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
)
PRODUCTS: tuple[Flag, ...] = (
    (torch.backends.cuda.matmul, "fp32_precision", "ieee"),
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),  # pyright: ignore[reportAttributeAccessIssue]
)

TEXTS_AT_ONCE = 256  # bounds memory for thousands of labels; fixed, so that features are reproducible


@torch.no_grad()
def label_features(model: XCLIP, texts: Sequence[str | Sequence[str]]) -> Tensor | None:
    """Features of K labels, (K, E), not normalised; None for a linear head, which has its classes built in.

    A label is one text or several. Of several, the mean direction and the mean length are taken: prompts see the
    length.
    """
    if model.text is None:
        if len(texts) != model.config.num_classes:
            raise ValueError(
                f"{len(texts)} labels were given, and the model's linear head has {model.config.num_classes} classes; "
                "give the labels that it was trained with, in that order"
            )
        return None
    said = [[text] if isinstance(text, str) else list(text) for text in texts]
    tokens = model.tokenize([text for wordings in said for text in wordings])
    features = torch.cat([model.encode_text(part) for part in tokens.split(TEXTS_AT_ONCE)])
    return torch.stack([_mean(part) for part in features.split([len(wordings) for wordings in said])])


def _mean(features: Tensor) -> Tensor:
    """(W, E) of W wordings -> (E,)"""
    if len(features) == 1:
        return features[0]
    return F.normalize(features, dim=-1).mean(dim=0) * features.norm(dim=-1).mean()


@torch.inference_mode()
def probabilities(
    model: XCLIP,
    videos: Sequence[Tensor] | Tensor,
    text: Tensor | None,
    *,
    views: int,
    crops: Crops,
    precision: Precision,
) -> Tensor:
    """uint8 (views * T, 3, H, W) for each of B clips, of any sizes -> float64 (B, K) on the CPU, rows that add up to 1.

    Views are encoded one after the other, so that memory does not grow with their number. The softmax is computed in
    float64, which still orders labels of tiny probability.
    """
    odd = [len(video) for video in videos if views < 1 or len(video) % views]
    if odd:
        raise ValueError(f"{odd[0]} frames are not {views} views of equal length; give the views that were sampled")
    total: Tensor | float = 0.0
    clips = [video.chunk(views) for video in videos]
    for view in range(views):
        for batch in _crops(model, [clip[view] for clip in clips], crops):
            features = _encode(model, batch, precision)
            logits = model.score(features, text).float().cpu().double()  # (B, K)
            total = logits.softmax(dim=1) + total
    return cast("Tensor", total) / (views * crops)


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """The model in evaluation mode, matrix products and convolutions in full float32; all is restored on exit."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with _set(CONVOLUTIONS + PRODUCTS):
            yield
    finally:
        for module, training in modes:
            module.training = training


def exact_convolutions() -> AbstractContextManager[None]:
    """Inside, GPUs do not round the inputs of float32 convolutions to 10 bits (TF32), which they do of themselves."""
    return _set(CONVOLUTIONS)


@contextmanager
def _set(flags: Sequence[Flag]) -> Generator[None]:
    """Inside, torch has these flags; what it had before is restored on exit."""
    before = [(place, name, getattr(place, name)) for place, name, _ in flags]
    try:
        for place, name, value in flags:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def check_precision(model: XCLIP, precision: Precision) -> None:
    """Raise ValueError if the weights are of lower precision than the result would claim."""
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision {precision!r} is unknown; use 'float32' or 'bfloat16'")
    rounded = {parameter.dtype for parameter in model.parameters()} & ROUNDED
    if precision == "float32" and rounded:
        raise ValueError(
            f"the weights are {rounded.pop()}; load the model with dtype=torch.float32, or ask for bfloat16"
        )


def _crops(model: XCLIP, clips: list[Tensor], crops: Crops) -> Sequence[Tensor]:
    """Model input float (B, T, 3, S, S) for each crop."""
    if crops == 1:
        return [model.prepare(clips)]
    return model.preprocess.three_crops(clips, model.device).unbind(dim=1)


def _encode(model: XCLIP, batch: Tensor, precision: Precision) -> VideoFeatures:
    # Only the encoder runs in lower precision: similarities rounded to 8 bits tie.
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        features = model.encode_video(batch)
    patches = None if features.patches is None else features.patches.to(model.dtype)
    return VideoFeatures(features.embedding.to(model.dtype), patches)
