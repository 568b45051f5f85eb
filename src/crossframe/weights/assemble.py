"""From a checkpoint to a model: every tensor in its place, none missing and none left over."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from crossframe.model.beyond import interpolate_grid
from crossframe.model.config import ModelConfig
from crossframe.model.multi_frame import interpolate_time
from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import their_names
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.infer import Checkpoint
from crossframe.weights.tables import Layout

log = logging.getLogger(__name__)

_LARGEST = 1e12  # of a weight; products of a few such are no numbers any more
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def build(checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> XCLIP:
    """A model of a checkpoint's tensors, in eval mode, in `dtype` or in float32 at least.

    Raises `WeightsError` naming the tensors that are missing, left over, mis-shaped or not finite.
    """
    config = checkpoint.config
    parts = (config.vision, config.text, config.mit, config.prompts)
    check_depth(sum(part.layers for part in parts if part), len(checkpoint.tensors))
    try:
        with torch.device("meta"), _SkipInit():
            model = XCLIP(config, tokenizer=checkpoint.tokenizer, preprocess=checkpoint.preprocess)
    except RuntimeError as error:  # nothing is allocated, but sizes may overflow
        raise WeightsError("its config describes a model too large to exist") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_tensors(checkpoint.tensors, expected, checkpoint.layout)
    state = {
        name: tensor.to(dtype or torch.promote_types(tensor.dtype, torch.float32)).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    model.load_state_dict(state, assign=True)
    model.taught = checkpoint.taught
    return model.eval()


class _SkipInit(TorchFunctionMode):
    """Skips random initialization, which has no effect on the meta device but takes a second to import."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def check_depth(layers: int, tensors: int) -> None:
    """Raises `WeightsError` for more layers than tensors, before time and memory go into building them."""
    if layers > tensors:
        raise WeightsError(f"has {tensors} tensors, and its names or its config speak of {layers} layers")


def check_tensors(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], layout: Layout | None
) -> None:
    """Raises `WeightsError` unless `tensors` are exactly the expected ones and hold finite numbers."""
    complaints: list[str] = []
    if missing := expected.keys() - tensors.keys():
        complaints.append(f"missing {shorten(_theirs(missing, layout))}")
    if left_over := tensors.keys() - expected.keys():
        complaints.append(f"left over {shorten(_theirs(left_over, layout))}")
    for name in sorted(expected.keys() & tensors.keys()):
        if tuple(tensors[name].shape) != expected[name]:
            their_name = _theirs([name], layout)[0]
            complaints.append(f"{their_name} has shape {tuple(tensors[name].shape)} instead of {expected[name]}")
    if complaints:
        raise WeightsError("; ".join(complaints[:4]) + ": the weights do not fit the model that their config describes")
    if odd := [name for name, tensor in tensors.items() if tensor.dtype not in _FLOATS]:
        kinds = " and ".join(sorted({str(tensors[name].dtype).removeprefix("torch.") for name in odd}))
        raise WeightsError(
            f"holds values of type {kinds}, in {shorten(_theirs(odd, layout))}: weights have 16 bits or more"
        )
    largest = {name: float(tensor.abs().amax()) for name, tensor in tensors.items() if tensor.numel()}
    if bad := [name for name, value in largest.items() if not math.isfinite(value)]:
        raise WeightsError(
            f"holds values that are not finite numbers, in {shorten(_theirs(bad, layout))}: fetch it again"
        )
    if huge := [name for name, value in largest.items() if value > _LARGEST]:
        raise WeightsError(
            f"holds values up to {max(largest[name] for name in huge):.3g}, in {shorten(_theirs(huge, layout))}, with "
            "which no score can be computed: fetch it again"
        )


def _theirs(names: Iterable[str], layout: Layout | None) -> list[str]:
    return [their_name for name in names for their_name in their_names(name, layout)]


def resized(checkpoint: Checkpoint, num_frames: int | None, image_size: int | None) -> Checkpoint:
    """The checkpoint for another number of frames or another picture size, its positions interpolated."""
    config, preprocess = checkpoint.config, checkpoint.preprocess
    asked = replace(
        config,
        num_frames=config.num_frames if num_frames is None else num_frames,
        vision=replace(config.vision, image_size=config.vision.image_size if image_size is None else image_size),
    )
    if asked == config:
        return checkpoint
    tensors = with_positions(checkpoint.tensors, asked)
    return replace(checkpoint, config=asked, tensors=tensors, preprocess=preprocess.at(asked.vision.image_size))


def with_positions(tensors: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The tensors with their position embeddings of grid and time interpolated to what `config` asks for."""
    result = dict(tensors)
    grid, places = config.vision.grid, tensors.get("vision.position")
    first = int(config.vision.class_token == "placed")
    if places is not None and places.dim() == 2 and places.shape[0] != first + grid**2:
        log.warning("grid positions are interpolated from %d places to %d x %d", places.shape[0] - first, grid, grid)
        result["vision.position"] = interpolate_grid(places, grid, first, config.vision.resize)
    times = tensors.get("mit.position")
    if config.mit is not None and times is not None and times.dim() == 2 and times.shape[0] != config.num_frames:
        log.warning("time positions are interpolated from %d frames to %d", times.shape[0], config.num_frames)
        result["mit.position"] = interpolate_time(times.float(), config.num_frames).to(times.dtype)
    return result
