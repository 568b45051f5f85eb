"""Reads tensors from PyTorch's zip files (`torch.save`, TorchScript) without running any code in them.

A pickle is a program. Here a scan first makes sure that it builds nothing but plain containers and tensors, and then an
unpickler with a dozen harmless names runs it; the code of a TorchScript archive is never executed. Only the tensors of
the state dict are read from disk, so that an optimizer's state beside the weights costs nothing.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from crossframe.weights.errors import WeightsError, one_line, shorten

_LARGEST_PICKLE = 64 * 2**20  # bytes; the largest known checkpoint needs one
_LARGEST_SOURCE = 4 * 2**20  # bytes of one source file in a TorchScript archive
_MOST_DIMENSIONS = 64  # as in PyTorch

# What torch.save and TorchScript write, and nothing else: plain values, containers, calls of the names below.
# fmt: off
_OPCODES = frozenset([
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
])
# fmt: on
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies in the archive."""

    storage: str
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Mapping(OrderedDict[object, object]):
    """An ordered dict that a pickle can fill but not copy: copies of copies could take any amount of memory."""

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Attributes, such as the versions of a state dict, are of no use here."""


class _Module:
    """Stands in for any object of a TorchScript archive: attributes without behavior."""

    def __init__(self) -> None:
        self.attributes: dict[str, object] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise WeightsError("holds an object with a state of its own making")
        self.attributes = cast("dict[str, object]", state)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a `torch.save` file or a TorchScript archive, recognized by its content.

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


def read_archive(path: Path) -> dict[str, Tensor]:
    """The tensors of a `torch.save` file or a TorchScript archive, by name.

    In a `torch.save` file the state dict may stand alone or under `model` or `state_dict`; whatever else there is (an
    optimizer's state, a training configuration) is left on disk. Raises `WeightsError` for anything but plain tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive)
            _refuse_own_setstate(archive, root)
            stored = _tensors_of(_Unpickler(archive, root).load())
            needed = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in stored.values())
            if needed > path.stat().st_size:
                raise WeightsError(f"claims {needed} bytes of tensors, more than it is long")
            return {name: _read_tensor(archive, root, tensor) for name, tensor in stored.items()}
    except WeightsError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"damaged or incomplete ({error}); fetch it again") from error
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        # What the unpickler raises when a pickle misuses the few names that it may call.
        raise WeightsError(f"not a file that PyTorch wrote ({error})") from error


def _root(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(names) != 1:
        raise WeightsError("a zip file, but not one of PyTorch's (it has no data.pkl)")
    root = names[0].removesuffix("data.pkl")
    if root + "byteorder" in archive.namelist() and _small(archive, root + "byteorder", 16) != b"little":
        raise WeightsError("written on a big-endian machine; save it again on a common one")
    return root


def _small(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The bytes of an entry, at most `limit`, even if its header understates its size."""
    entry = archive.getinfo(name)
    if entry.file_size > limit:
        raise WeightsError(f"its entry {name} has {entry.file_size} bytes; at most {limit} are read")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(f"its entry {name} is packed in a way that PyTorch never uses; unpack and save it again")
    with archive.open(entry) as file:
        return file.read(limit)  # without a number, zipfile would unpack gigabytes before it cuts off


def _refuse_own_setstate(archive: zipfile.ZipFile, root: str) -> None:
    """A TorchScript class with a `__setstate__` would run it on loading; OpenAI's models have none."""
    for name in archive.namelist():
        if (
            name.startswith(root + "code/")
            and name.endswith(".py")
            and b"__setstate__" in _small(archive, name, _LARGEST_SOURCE)
        ):
            raise WeightsError(
                f"its TorchScript code ({name}) defines __setstate__, which would run on loading: refused"
            )


class _Unpickler(pickle.Unpickler):
    """Runs the archive's pickle with only the names that tensors and containers need."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        data = _small(archive, root + "data.pkl", _LARGEST_PICKLE)
        _scan(data)
        super().__init__(BytesIO(data))
        self._sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        self._root = root
        # Methods, and classes with a __setstate__: a pickle can call them, but it cannot alter them.
        self._known: dict[tuple[str, str], object] = {
            ("collections", "OrderedDict"): _Mapping,
            ("yacs.config", "CfgNode"): _Mapping,  # the authors keep their training configuration beside the weights
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._as_it_is,
            ("torch.jit._pickle", "build_intlist"): self._as_it_is,
            ("torch.jit._pickle", "build_doublelist"): self._as_it_is,
            ("torch.jit._pickle", "build_boollist"): self._as_it_is,
            ("torch.jit._pickle", "build_tensorlist"): self._as_it_is,
            **{("torch", name): dtype for name, dtype in _STORAGES.items()},
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in self._known:
            return self._known[module_name, global_name]
        if module_name == "__torch__" or module_name.startswith("__torch__."):
            return _Module
        raise WeightsError(
            f"its pickle asks for {module_name}.{global_name}, which weights do not need: refused, nothing was run; "
            "save the model's state_dict() alone if you trust the file"
        )

    def persistent_load(self, pid: Any, /) -> object:
        kind, dtype, key, _, count = pid
        size = self._sizes.get(f"{self._root}data/{key}")
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or size is None:
            raise WeightsError(f"refers to a storage {key!r} that it does not hold; it is incomplete, fetch it again")
        if not isinstance(count, int) or count * dtype.itemsize != size:
            raise WeightsError(f"its storage {key} has {size} bytes where {count} values of {dtype} were announced")
        return key, dtype, count

    def _tensor(self, storage: Any, offset: int, shape: Any, stride: Any, *_: object) -> StoredTensor:
        key, dtype, count = storage
        if len(shape) != len(stride) or len(shape) > _MOST_DIMENSIONS:
            raise WeightsError(f"holds a tensor of {len(shape)} dimensions and {len(stride)} strides")
        numbers = (offset, *shape, *stride)
        if not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise WeightsError(f"holds a tensor of impossible shape {shape} and stride {stride}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if math.prod(shape) > count or (math.prod(shape) > 0 and last >= count):
            raise WeightsError(f"holds a tensor of shape {shape} that reaches beyond its {count} stored values")
        return StoredTensor(key, dtype, offset, tuple(shape), tuple(stride))

    def _as_it_is(self, value: object, *_: object) -> object:
        return value


def _scan(data: bytes) -> None:
    """Refuses what neither torch.save nor TorchScript writes, before the unpickler sees it.

    Among it are memo numbers in the billions, for which the unpickler would reserve as much memory.
    """
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name not in _OPCODES:
                raise WeightsError(f"its pickle uses {opcode.name}, which PyTorch never writes: refused")
            if opcode.name in ("BINPUT", "LONG_BINPUT") and cast("int", argument) > len(data):
                raise WeightsError("its pickle reserves more memory than it can use: refused")
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"its pickle is damaged ({error}); fetch it again") from error


def _tensors_of(content: object) -> dict[str, StoredTensor]:
    """The state dict in what the pickle built."""
    if isinstance(content, _Module):
        return dict(_walk(content, "", set()))
    for _ in range(3):  # the state dict itself, or within `model`, or within both
        if not isinstance(content, dict):
            break
        entries = cast("Mapping[object, object]", content)
        found = {str(name): value for name, value in entries.items() if isinstance(value, StoredTensor)}
        if found:
            return _without_prefix(found, "module.")  # what DistributedDataParallel adds
        inner = next((entries[name] for name in ("model", "state_dict", "model_state_dict") if name in entries), None)
        if inner is None:
            raise WeightsError(
                f"holds no tensors at its top, nor under model or state_dict, but {shorten(map(str, entries))}"
            )
        content = inner
    raise WeightsError(f"holds a {type(content).__name__} where a state dict was expected")


def _walk(module: _Module, prefix: str, seen: set[int]) -> Iterator[tuple[str, StoredTensor]]:
    if id(module) in seen or len(prefix) > 1000:
        raise WeightsError(f"its module {prefix.removesuffix('.')} stands in two places: not one of OpenAI's models")
    seen.add(id(module))
    for name, value in module.attributes.items():
        if isinstance(value, StoredTensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _walk(value, f"{prefix}{name}.", seen)


def _without_prefix(tensors: dict[str, StoredTensor], prefix: str) -> dict[str, StoredTensor]:
    if all(name.startswith(prefix) for name in tensors):
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _read_tensor(archive: zipfile.ZipFile, root: str, tensor: StoredTensor) -> Tensor:
    entry = archive.getinfo(f"{root}data/{tensor.storage}")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise WeightsError("compressed, which PyTorch's files never are; unpack and save it again")
    if entry.file_size == 0:
        return torch.empty(tensor.shape, dtype=tensor.dtype)
    flat = torch.frombuffer(bytearray(archive.read(entry)), dtype=tensor.dtype)
    view = flat.as_strided(tensor.shape, tensor.stride, tensor.offset)
    return view if view.numel() == flat.numel() else view.clone()
