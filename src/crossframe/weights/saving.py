"""`crossframe.save`: a model to a folder that `crossframe.load` or transformers gives back."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from crossframe.files import adding_files, check_writable
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights.convert import to_theirs
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.folder import CLIPS, CONFIG, PREPROCESSOR, digest, own_config, taught_entries
from crossframe.weights.hf_config import config_to_hf, preprocess_to_hf
from crossframe.weights.tables import HF_CLIP, HF_XCLIP

_WEIGHTS = "model.safetensors"
_TOKENIZER_CONFIG = "tokenizer_config.json"


def save(
    model: XCLIP,
    folder: str | Path,
    format: Literal["crossframe", "transformers"] = "crossframe",
    *,
    dtype: torch.dtype | None = None,
) -> Path:
    """Writes a model into `folder`, which is made if needed, and returns its path.

    `crossframe`: model.safetensors, config.json and tokenizer.json, for `crossframe.load`. `transformers`: a folder
    from which transformers' `XCLIPModel` or `CLIPModel` loads the same model, its tokenizer and the nearest image
    processor. What the model was taught, such as the names of its classes, is kept in both.
    `dtype`, for instance `torch.float16`, halves the file; `load` computes in float32 again.

    Each file is written beside its place and then moved there, the weights last: an interruption leaves old files, not
    half ones, and `load` refuses weights of ours beside the files of another save. Raises `WeightsError` for a format
    or a precision that cannot hold this model, for pictures of another size than its positions are for, and for values
    that are not finite, `OSError` for a full disk.
    """
    if format not in ("crossframe", "transformers"):
        raise WeightsError(f"format is '{format}'; choose 'crossframe' or 'transformers'")
    if (made := model.preprocess.size) != (own := model.config.vision.image_size):
        raise WeightsError(
            f"the model's preprocess makes pictures of {made}, and its positions are for {own}; save it with its own "
            f"preprocess, or load it with image_size={made}"
        )
    tensors = {name: tensor.detach().to("cpu", dtype or tensor.dtype) for name, tensor in model.state_dict().items()}
    if bad := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        kind = f" in {dtype}" if dtype else ""
        raise WeightsError(
            f"{shorten(bad)} would hold values{kind} that are not finite numbers, and could not be loaded"
        )
    if format == "crossframe":
        files = {CONFIG: own_config(model.config, model.preprocess, model.tokenizer, model.taught)}
    else:
        files = _transformers_files(model, dtype or model.dtype)
        tensors = to_theirs(tensors, HF_CLIP if model.mit is None else HF_XCLIP)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        reason = "is a file, where a folder is needed; give another path"
        raise FileExistsError(errno.EEXIST, reason, str(folder))
    check_writable(folder)
    with adding_files(folder, last=_WEIGHTS) as beside:
        for name, values in files.items():
            (beside / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        if isinstance(model.tokenizer, Tokenizer):
            model.tokenizer.save(beside)
        if model.taught.clips is not None:
            np.save(beside / CLIPS, model.taught.clips, allow_pickle=False)
        ours = beside.iterdir() if format == "crossframe" else beside.glob(CLIPS)
        beside_them = {path.name: digest(path) for path in ours}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            save_file(contiguous, beside / _WEIGHTS, {"format": "pt"} | beside_them)
            _order_metadata(beside / _WEIGHTS)
        except SafetensorError as error:
            raise _of_the_system(error, folder / _WEIGHTS) from error
    return folder


def _order_metadata(path: Path) -> None:
    """Sorts the metadata of a safetensors file, which its library writes in any order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        if len(ordered) != length:
            raise WeightsError("the library safetensors writes another header than it did; install the pinned version")
        file.seek(8)
        file.write(ordered)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of all tensors, as 64 hexadecimal digits.

    The same weights give the same digits from any file format and on any device; other precision gives others.
    """
    state = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        state.update(flat.view(torch.uint8).numpy())
    return state.hexdigest()


def _transformers_files(model: XCLIP, dtype: torch.dtype) -> dict[str, dict[str, Any]]:
    """The files that transformers' automatic classes look for beside the weights."""
    pictures = preprocess_to_hf(model.preprocess, video=model.mit is not None)
    files = {
        CONFIG: config_to_hf(model.config)
        | {"dtype": str(dtype).removeprefix("torch.")}
        | taught_entries(model.taught, "transformers"),
        PREPROCESSOR: pictures,
    }
    if isinstance(model.tokenizer, Tokenizer):
        files[_TOKENIZER_CONFIG] = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": model.tokenizer.context_length,
            "processor_class": pictures["processor_class"],
        }
    return files


def _of_the_system(error: SafetensorError, path: Path) -> OSError:
    """The `OSError` behind an error of safetensors: a full disk, for instance."""
    found = re.search(r"os error (\d+)", str(error))
    reason = int(found[1]) if found else errno.EIO
    return OSError(reason, os.strerror(reason), str(path))
