"""A fake GPU, where there is none: no test with it says anything of a real one.

Its tensors compute on the processor, but say that they are on `fakegpu:0`, and must not meet others: an operation of
both raises, as CUDA's do. What a GPU would have the processor wait for is counted. It is one device without memory or
streams of its own, and autocast changes nothing on it.

Importing this module registers the device with torch, for good: do so in processes of their own (`tests.train.many`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("fakegpu", _Module())
# In inference mode, tensors like these have no views.
torch._C._InferenceMode = lambda mode: torch.no_grad() if mode else nullcontext()
torch.__future__.set_overwrite_module_params_on_conversion(True)  # new parameters, not new content of the old ones
AUTOCAST = torch.library.Library("_", "IMPL")
AUTOCAST.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
FAKE_GPU = torch.device("fakegpu", 0)

# What takes a few places or numbers of the processor beside tensors of the GPU.
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
SIZES_DEPEND_ON_VALUES = {aten.nonzero.default, aten.masked_select.default, aten._unique2.default}


class OnFakeGPU(Tensor):
    """A tensor of the fake GPU; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnFakeGPU:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=FAKE_GPU,
        )
        made.held = held
        return made

    def __repr__(self, **_: object) -> str:
        return f"OnFakeGPU({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside of FakeGPU()")


class _Numbers(TorchFunctionMode):
    """Has numbers go to the fake GPU and come back by way of the processor, as they do with a GPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and _is_fake_gpu(kwargs.get("device", "cpu")):
            return func(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        if func is Tensor.tolist and isinstance(args[0], OnFakeGPU):
            return args[0].cpu().tolist()
        return func(*args, **kwargs)


class FakeGPU(TorchDispatchMode):
    """Inside, there is a fake GPU. `waits` counts the operations that keep the processor waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._numbers = _Numbers()

    def __enter__(self) -> Self:
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._numbers.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        theirs = [tensor for tensor in tensors if isinstance(tensor, OnFakeGPU)]
        there = _is_fake_gpu(kwargs["device"]) if kwargs.get("device") is not None else bool(theirs)
        moves = func in (aten._to_copy.default, aten.copy_.default)
        if func in INDEXING:
            self._see_indices(func, args[1])
        elif theirs and not moves and any(t.dim() and not isinstance(t, OnFakeGPU) for t in tensors):
            raise RuntimeError(
                f"{func}: expected all tensors to be on the same device, but found both fake GPU and cpu"
            )
        if moves:
            self._see_move(func, args, kwargs, there)
        elif theirs and (func is aten._local_scalar_dense.default or func in SIZES_DEPEND_ON_VALUES):
            self.waits[str(func)] += 1
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu") if there else kwargs["device"]
        kwargs.pop("pin_memory", None)
        known = {id(tensor.held): tensor for tensor in theirs}
        given, named = tree_map(lambda leaf: leaf.held if isinstance(leaf, OnFakeGPU) else leaf, (args, kwargs))
        result = func(*given, **named)

        def wrapped(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            return known.get(id(leaf)) if id(leaf) in known else OnFakeGPU(leaf) if there else leaf

        return tree_map(wrapped, result)

    def _see_move(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], there: bool) -> None:
        onto, source = (args[0], args[1]) if func is aten.copy_.default else (None, args[0])
        there = isinstance(onto, OnFakeGPU) if onto is not None else there
        at_once = args[2] if onto is not None and len(args) > 2 else kwargs.get("non_blocking", False)
        if isinstance(source, OnFakeGPU) != there and not (there and at_once):
            self.waits[f"copy {'to' if there else 'from'} the fake GPU"] += 1

    def _see_indices(self, func: Any, indices: Sequence[Tensor | None]) -> None:
        for index in indices:
            if index is not None and index.dtype == torch.bool:
                self.waits[f"{func} with a mask"] += 1
            elif index is not None and not isinstance(index, OnFakeGPU):
                self.waits[f"{func} with indices from the processor"] += 1


def _is_fake_gpu(device: Any) -> bool:
    return torch.device(device).type == FAKE_GPU.type
