"""`crossframe.load`: a name, a folder or a file to a model that is ready to use."""

from __future__ import annotations

from pathlib import Path

import torch

from crossframe.model.xclip import XCLIP
from crossframe.weights import hub
from crossframe.weights.assemble import build, resized
from crossframe.weights.errors import WeightsError, errors_in
from crossframe.weights.folder import BUNDLED, belongs_to_folder, read_folder
from crossframe.weights.infer import Checkpoint, read_file
from crossframe.weights.sources import check_source, place_in

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
