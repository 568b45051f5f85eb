"""One file of weights, of any format, to tensors by name."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from crossframe.weights.archive import read_archive
from crossframe.weights.errors import WeightsError, one_line


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a `torch.save` file or a TorchScript archive, recognised by its content.

    Raises `WeightsError`, naming the file, when it is none of these, damaged, or wants to run code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if start[8:] == b"{":  # after the eight bytes that tell how long the header is
            return safetensors.torch.load_file(path)
        if start.startswith(b"PK\x03\x04"):
            return read_archive(path)
        if start.startswith(b"\x80"):
            raise WeightsError("written by PyTorch 1.5 or older; load it with torch.load and save it again")
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path}: damaged or incomplete ({one_line(error)}); fetch it again") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {one_line(error)}") from error
    raise WeightsError(
        f"{path}: neither a safetensors file nor one that PyTorch wrote (a git-lfs pointer? then fetch the file)"
    )
