"""`crossframe.load`: a name, a folder or a file to a model that is ready to use.

Every tensor comes to its place, none missing and none left over.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from crossframe.model.beyond import interpolate_grid
from crossframe.model.config import ModelConfig
from crossframe.model.multi_frame import interpolate_time
from crossframe.model.xclip import XCLIP
from crossframe.weights import hub
from crossframe.weights.convert import their_names
from crossframe.weights.errors import WeightsError, errors_in, shorten
from crossframe.weights.folder import BUNDLED, belongs_to_folder, read_folder
from crossframe.weights.infer import Checkpoint, read_file
from crossframe.weights.sources import check_source, place_in
from crossframe.weights.tables import Layout

log = logging.getLogger(__name__)
_LARGEST = 1e12  # of a weight; products of a few such are no numbers any more
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# The hub's config of these has a default number of heads where the authors trained with one for each 64 channels.
_AUTHORS_LARGE = "microsoft/xclip-large"


def load(
    source: str | Path,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    *,
    num_frames: int | None = None,
    image_size: int | None = None,
    base: str | Path | None = None,
    access: hub.Access | None = None,
) -> XCLIP:
    """A model from wherever its weights are, in eval mode, with its tokenizer and its preprocessing.

    `source` is the bundled model `"shapes"`; a model of the Hugging Face hub, `"owner/name"` or
    `"owner/name@revision"`; a folder of ours, of Hugging Face's or of open_clip's; or a file: the authors' `.pth`,
    OpenAI's `.pt`, a `.safetensors` or a state dict of any of these, under whatever key and prefix; where a file holds
    several, `"file#state_dict_ema"` is the one that lies there. No file can run code. A plain CLIP becomes the
    mean-of-frames baseline with CLIP's own pictures; `crossframe.expand` adds the paper's parts. docs/checkpoints.md
    has a table of all that is read.

    `device`: by default the GPU if there is one, else the CPU. `dtype`: float32 when None, or float64 where the
    file has it. `num_frames` and `image_size` interpolate the positions when they are not those of the weights.
    `base`: the source of the CLIP that a ViFi-CLIP was trained from. `access`: how the hub is reached
    (`crossframe.weights.Access`), by default as the variables of its client say.

    Raises `WeightsError`, in one line, when the source is unknown, unreachable, damaged, incomplete or unsafe.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WeightsError(f"dtype is {dtype!r}; weights are of a floating type of torch, such as torch.bfloat16")
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise WeightsError(f"device is {device!r}; give cpu, cuda, cuda:1 or mps") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError(f"device is {device!r}, and torch reaches no GPU here; give cpu, or see crossframe doctor")
    if place.type == "cuda" and (place.index or 0) >= (gpus := torch.cuda.device_count()):
        raise WeightsError(f"device is '{place}', and the last GPU here is cuda:{gpus - 1}; give one that is here")
    access = access or hub.USUAL
    checkpoint = _resolve(source, access, None if base is None else _resolve(base, access))
    with errors_in(source):
        model = build(resized(checkpoint, num_frames, image_size), dtype)
    return model.to(place)


def _fetch(source: str, access: hub.Access) -> Path:
    path = Path(source)
    try:
        return hub.fetch(source, access)
    except WeightsError as error:
        if not path.parent.is_dir():
            raise
        raise WeightsError(f"the folder {path.parent} has no '{path.name}', and {error}") from error  # one was meant


def _resolve(source: str | Path, access: hub.Access, base: Checkpoint | None = None) -> Checkpoint:
    path, place = place_in(source)
    if source == "shapes":
        if not BUNDLED.is_dir():
            raise WeightsError("the bundled model 'shapes' is missing from this installation: install crossframe again")
        return read_folder(BUNDLED)
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        in_folder = place is None and base is None and belongs_to_folder(path)
        return read_folder(path.parent, path.name) if in_folder else read_file(path, place, base)
    check_source(source)
    name = str(source)
    return read_folder(_fetch(name, access), authors_heads=name.startswith(_AUTHORS_LARGE))


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
