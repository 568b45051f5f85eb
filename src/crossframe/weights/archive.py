"""Reads one file of weights, of any format, without running any code in it.

`torch.save` files, of today (zip) and of old, TorchScript archives and safetensors become tensors by the path at which
they lie. Only those that are asked for are read from disk, so that an optimizer's state beside the weights costs
nothing. The code of a TorchScript archive is never looked at.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from crossframe.processes import memory_quota
from crossframe.weights.errors import WeightsError, errors_in, one_line
from crossframe.weights.pickles import Storage, StoredTensor, read_pickle
from crossframe.weights.search import is_training_state, paths_in, plain_name

_LARGEST_PICKLE = 64 * 2**20  # bytes; the largest known checkpoint needs one
_MOST_DIMENSIONS = 64  # as in PyTorch

# What PyTorch calls types of numbers in its files; of others nothing is read.
_TYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64, "QInt32": torch.qint32,
}  # fmt: skip
_NOT_OF_WEIGHTS = (torch.complex128, torch.complex64, torch.qint32, torch.quint8)

_PICKLE = re.compile(rb"\x80[\x02-\x05]|L\d+L\n|\(dp?|\(lp?|ccollections\n")  # how pickles start, by protocol

# The start of a torch.save file of old: three pickles tell the number, the version and the machine.
_OLD_NUMBER, _OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001

# What lies under a weight's name in its stead, by how it starts.
_OTHERS = {
    b"version https://git-lfs": "a git-lfs pointer, not the file that it stands for: run git lfs pull",
    b"<": "a web page, saved under a weight's name: the site asked for a confirmation; fetch the file itself",
    b"{": "a text of JSON: give the file of the weights, or their folder",
    b"\x1f\x8b": "packed by gzip: unpack it first",
    b"BZh": "packed by bzip2: unpack it first",
    b"\xfd7zXZ": "packed by xz: unpack it first",
    b"7z\xbc\xaf": "packed by 7-Zip: unpack it first",
    b"Rar!": "packed by RAR: unpack it first",
    b"\x89HDF": "an HDF5 file, as Keras writes them: weights of PyTorch are read",
    b"\x93NUMPY": "an array of numpy: weights of PyTorch are read",
    b"GGUF": "a GGUF file: weights of PyTorch are read",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a file: its tensors by path, not read yet (but for safetensors), and the entries at its top."""

    tensors: Mapping[str, StoredTensor | Tensor]
    entries: tuple[str, ...]
    length: int  # of the file, in bytes
    numbers: Callable[[StoredTensor, int], bytearray]  # of a tensor's storage, whose values have so many bytes

    def read(self, wanted: Mapping[str, str]) -> dict[str, Tensor]:
        """The tensors of some paths: `wanted` gives the path for each name."""
        found = {name: self.tensors[path] for name, path in wanted.items()}
        needed = sum(_checked_size(name, one) for name, one in found.items() if isinstance(one, StoredTensor))
        if needed > self.length:
            raise WeightsError(f"claims {needed} bytes of tensors, more than it is long")
        check_memory(needed)
        return {name: one if isinstance(one, Tensor) else self._tensor(one) for name, one in found.items()}

    def _tensor(self, stored: StoredTensor) -> Tensor:
        dtype = _type_of(stored.kind)
        shape, stride = cast("tuple[tuple[int, ...], tuple[int, ...]]", (stored.shape, stored.stride))
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(self.numbers(stored, dtype.itemsize), dtype=dtype)
        view = flat.as_strided(shape, stride, stored.storage.start + cast("int", stored.offset))
        return view if view.numel() == flat.numel() else view.clone()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file under their names, but for an optimizer's or scheduler's state.

    Raises `WeightsError`, naming the file, when it is damaged or nothing that PyTorch or safetensors wrote.
    """
    with errors_in(path), open_weights(path) as contents:
        return contents.read({name: name for name in contents.tensors if not is_training_state(name)})


@contextmanager
def open_weights(path: Path) -> Generator[Contents]:
    """The contents of a file, recognized by how it starts. Raises `WeightsError` for others and for damaged ones."""
    try:
        with path.open("rb") as file:
            start, length = file.read(512), path.stat().st_size
            if start[8:9] == b"{":  # after the eight bytes that tell how long the header is
                check_memory(length)
                tensors = {plain_name(name): one for name, one in safetensors.torch.load_file(path).items()}
                yield Contents(tensors, tuple(tensors), length, lambda _tensor, _itemsize: bytearray())
            elif start.startswith(b"PK\x03\x04"):
                with zipfile.ZipFile(file) as archive:
                    yield _zip_contents(archive, length)
            elif _PICKLE.match(start):
                yield _old_contents(file, length)
            else:
                raise WeightsError(f"neither a safetensors file nor one that PyTorch wrote{_other(start)}")
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror or error})") from error
    except (safetensors.SafetensorError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise WeightsError(f"damaged or incomplete ({one_line(error)}); fetch it again") from error
    except (LookupError, OverflowError, RuntimeError) as error:  # what zipfile and torch say of odd entries
        raise WeightsError(f"not a file that PyTorch wrote ({one_line(error)})") from error


def check_memory(needed: int) -> None:
    """Raises `WeightsError` for more bytes than there is memory, in this machine or for this process's control group; a
    sparse file may claim any number."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed
    whose, group = "this machine has", memory_quota()
    if group is not None and group.limit < memory:
        whose, memory = "this process may take", group.limit
    if needed > memory:
        raise WeightsError(
            f"its tensors take {needed / 2**30:,.1f} GiB, and {whose} {memory / 2**30:,.1f} GiB of memory"
        )


def _other(start: bytes) -> str:
    """The kind of file that it is instead, as far as its start tells, and the remedy."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return ", but empty: fetch it again"
    if start[257:262] == b"ustar":
        return ", but a tar archive, as PyTorch 0.1 wrote and others pack: unpack it, or save it again with torch.save"
    if start[:1] == b"\x08" and start[2:3] == b"\x12":  # the version, and then who wrote it
        return ", but a graph of ONNX, which holds no model to load: give what it was made of"
    return next((f", but {what}" for sign, what in _OTHERS.items() if text.startswith(sign)), "")


# Zip files: of torch.save since PyTorch 1.6, and of TorchScript.


def _zip_contents(archive: zipfile.ZipFile, length: int) -> Contents:
    names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if archive.namelist() and all(name.endswith(".npy") for name in archive.namelist()):
        raise WeightsError("arrays of numpy: make tensors of them, torch.from_numpy(array), and torch.save their dict")
    if len(names) != 1:
        if any(name.endswith("/archive_format") for name in archive.namelist()):
            raise WeightsError("a program of torch.export, which holds no model to load: give what it was made of")
        raise WeightsError("a zip file, but not one of PyTorch's (it has no data.pkl): unpack it first")
    root = names[0].removesuffix("data.pkl")
    if root + "byteorder" in archive.namelist() and _small(archive, root + "byteorder", 16) != b"little":
        raise WeightsError("written on a big-endian machine; save it again on a common one")
    content = read_pickle(BytesIO(_small(archive, root + "data.pkl", _LARGEST_PICKLE)))

    def numbers(stored: StoredTensor, itemsize: int) -> bytearray:
        key, count = stored.storage.key, stored.storage.count
        entry = archive.NameToInfo.get(f"{root}data/{key}")
        if entry is None:
            raise WeightsError(f"refers to a storage {key!r} that it does not hold; it is incomplete, fetch it again")
        if entry.file_size != count * itemsize:
            raise WeightsError(f"its storage {key} has {entry.file_size} bytes where {count} values were announced")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise WeightsError("compressed, which PyTorch's files never are; unpack and save it again")
        return bytearray(archive.read(entry))

    return _contents(content, length, numbers)


def _small(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The bytes of an entry, at most `limit`, even if its header understates its size."""
    entry = archive.getinfo(name)
    if entry.file_size > limit:
        raise WeightsError(f"its entry {name} has {entry.file_size} bytes; at most {limit} are read")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(f"its entry {name} is packed in a way that PyTorch never uses; unpack and save it again")
    with archive.open(entry) as file:
        return file.read(limit)  # without a number, zipfile would unpack gigabytes before it cuts off


# Files of torch.save before PyTorch 1.6: five pickles, then the storages one after another.


def _old_contents(file: BinaryIO, length: int) -> Contents:
    file.seek(0)
    head = BytesIO(file.read(_LARGEST_PICKLE))
    if read_pickle(head) != _OLD_NUMBER:
        raise WeightsError("a pickle, but none that torch.save wrote: load it and torch.save its state_dict")
    version, machine = read_pickle(head), read_pickle(head)
    if version != _OLD_VERSION or not (isinstance(machine, dict) and machine.get("little_endian") is True):
        raise WeightsError("written by a version of PyTorch, or on a machine, that is not known; save it again")
    storages: dict[str, Storage] = {}
    content, keys = read_pickle(head, storages), read_pickle(head)
    places: dict[str, tuple[int, int]] = {}  # where the numbers begin, and how many there are
    at = head.tell()
    for key in cast("list[Any]", keys) if isinstance(keys, list) else ():
        if not isinstance(key, str) or key not in storages:
            raise WeightsError("damaged: it lists numbers to which no tensor refers; fetch it again")
        file.seek(at)
        count = int.from_bytes(file.read(8), "little", signed=True)
        places[key] = (at + 8, count)
        at += 8 + count * _type_of(storages[key].kind).itemsize
        if count < 0 or at > length:
            raise WeightsError("damaged or incomplete: it ends before its numbers do; fetch it again")

    def numbers(stored: StoredTensor, itemsize: int) -> bytearray:
        start, count = places[stored.storage.key]
        file.seek(start)
        return bytearray(file.read(count * itemsize))

    return _contents(content, length, numbers)


def _contents(content: object, length: int, numbers: Callable[[StoredTensor, int], bytearray]) -> Contents:
    entries = cast("dict[object, object]", content) if isinstance(content, dict) else {}
    return Contents(dict(paths_in(content)), tuple(key for key in entries if isinstance(key, str)), length, numbers)


def _type_of(kind: str) -> torch.dtype:
    """The type of a storage's values; one of quantized bytes for all that are not known."""
    return _TYPES.get(kind.rpartition(".")[2].removesuffix("Storage"), torch.quint8)


def _checked_size(name: str, tensor: StoredTensor) -> int:
    """The bytes of a tensor. Raises `WeightsError` unless it lies within its storage and has a type of weights."""
    shape, stride, count = tensor.shape, tensor.stride, tensor.storage.count
    dtype = _type_of(tensor.kind)
    if dtype in _NOT_OF_WEIGHTS:
        kind = tensor.kind.rpartition(".")[2].removesuffix("Storage")
        raise WeightsError(f"holds values of type {kind}, in {name}: weights have 16 bits or more")
    if not (isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= _MOST_DIMENSIONS):
        raise WeightsError(f"{name} has an impossible shape, or strides of another number")
    numbers = (tensor.offset, tensor.storage.start, *shape, *stride)
    if not all(isinstance(n, int) and 0 <= n < 2**62 for n in numbers):
        raise WeightsError(f"{name} has an impossible shape and stride")
    sizes, steps = cast("tuple[tuple[int, ...], tuple[int, ...]]", (shape, stride))
    elements, first = math.prod(sizes), tensor.storage.start + cast("int", tensor.offset)
    last = first + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    if elements > count or (elements > 0 and last >= count):
        raise WeightsError(f"{name} has a shape of {sizes}, which reaches beyond its {count} stored values")
    return elements * dtype.itemsize
