"""A pickle read as data: its containers and tensors, and placeholders for all else.

A pickle is a program, and Python's own unpickler runs it. The machine here has nothing to run: no import, no call, no
attribute and no method of a stranger's object. What a call would return becomes a `Foreign` of its arguments, so that
weights are found inside it; only the few functions with which PyTorch writes down a tensor are understood.

Memory follows the length of the pickle: an opcode makes one small object at most, containers are shared and never
copied, and nothing is hashed, compared or formatted before its type is known, since a few hundred bytes of tuples
within tuples can stand for more elements than there are atoms.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from crossframe.weights.errors import WeightsError

_MOST_OPCODES = 5_000_000  # a checkpoint of 1,000 tensors and their optimizer's needs 100,000
_LARGEST_KEY = 64  # bits of an int

_TENSOR_V3 = "torch._utils._rebuild_tensor_v3"  # which tells the type of its values itself
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", _TENSOR_V3)
_SUBCLASS = "torch._tensor._rebuild_from_type_v2"  # of a function, a type, the function's arguments and a state
_AS_IT_IS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    *(f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "tensor")),
)

# How protocol 0, which knows no tuples here, writes a reference to a storage.
_STORAGE_TOLD = re.compile(r"\('storage', <class '([\w.]+)'>, '(\w+)', '[^']*', (\d{1,18})(?:, None)?\)")


class Foreign(list[object]):
    """A placeholder for an object of any other kind: what it was given."""

    __slots__ = ()


# Opcodes that push their own argument, and those that push something without one.
_VALUES = frozenset(
    code.name
    for code in pickletools.opcodes
    if code.arg and not code.stack_before and code.stack_after not in ([], [pickletools.anyobject])
)
_NEW: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": Foreign,
}


@dataclass(slots=True, eq=False)
class Name:
    """A reference to something that could be imported, and is not."""

    name: str


@dataclass(slots=True, eq=False)
class Storage:
    """The numbers of one or more tensors: `key` tells where in the file, `kind` is PyTorch's name of their type."""

    key: str
    kind: str
    count: int
    start: int = 0  # where a view begins, in files of old


@dataclass(slots=True, eq=False)
class StoredTensor:
    """A tensor that has not been read. Offset, shape and stride are as the file has them, unchecked."""

    storage: Storage
    kind: str
    offset: object
    shape: object
    stride: object


def read_pickle(file: BytesIO, storages: dict[str, Storage] | None = None) -> object:
    """The object that the pickle at the position of `file` describes; the position moves behind it.

    It consists of plain values, lists, tuples, dicts with plain keys (others are replaced by placeholders), and the
    classes above. `storages` gathers those that it refers to, by key. Raises `WeightsError` for a damaged pickle.
    """
    machine = _Machine({} if storages is None else storages)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > _MOST_OPCODES:
                raise WeightsError(f"its pickle has more than {_MOST_OPCODES:,} opcodes: refused")
            if opcode.name in _VALUES:
                machine.stack.append(argument)
            elif opcode.name in _NEW:
                machine.stack.append(_NEW[opcode.name]())
            else:
                machine.step(opcode.name, argument)
        return machine.stack[-1]
    except WeightsError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise WeightsError(f"its pickle is damaged ({error}); fetch it again") from error


class _Machine:
    """The stack, where its marks are, and the memo."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.storages = storages

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self.memo[argument])
            case "MARK":
                self.marks.append(len(stack))
            case "POP" if not (self.marks and self.marks[-1] == len(stack)):
                stack.pop()
            case "POP" | "POP_MARK":
                self._last(None)
            case "DUP":
                stack.append(stack[-1])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._last(int(opcode[-1]))))
            case "TUPLE":
                stack.append(tuple(self._last(None)))
            case "LIST":
                stack.append(self._last(None))
            case "FROZENSET":
                stack.append(Foreign(self._last(None)))
            case "DICT":
                stack.append(_filled({}, self._last(None)))
            case "APPEND" | "APPENDS" | "ADDITEMS":
                values = self._last(1 if opcode == "APPEND" else None)
                stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._last(2 if opcode == "SETITEM" else None)
                _filled(stack[-1], values)
            case _:
                self._object(opcode, argument)

    def _object(self, opcode: str, argument: Any) -> None:
        """An opcode that names, makes or changes something: nothing is looked up, and nothing is called."""
        match opcode:
            case "GLOBAL":
                found = Name(argument.replace(" ", "."))
            case "STACK_GLOBAL":
                module, name = self._last(2)
                if not (isinstance(module, str) and isinstance(name, str)):
                    raise WeightsError("its pickle names something by what is no name: refused")
                found = Name(f"{module}.{name}")
            case "PERSID" if told := _STORAGE_TOLD.fullmatch(argument):
                found = self._referred(("storage", Name(told[1]), told[2], None, int(told[3])))
            case "PERSID" | "EXT1" | "EXT2" | "EXT4":
                found = Foreign()
            case "BINPERSID":
                found = self._referred(*self._last(1))
            case "BUILD":
                (state,) = self._last(1)
                if isinstance(self.stack[-1], Foreign):  # attributes of containers and tensors are of no use
                    self.stack[-1].append(state)
                return
            case "INST":
                found = Foreign(self._last(None))
            case "OBJ":
                function, *given = self._last(None)
                found = _made(function, tuple(given))
            case "REDUCE" | "NEWOBJ":
                found = _made(*self._last(2))
            case "NEWOBJ_EX":
                found = Foreign(self._last(3))
            case _:
                raise WeightsError(f"its pickle uses {opcode}, which PyTorch never writes: refused")
        self.stack.append(found)

    def _last(self, count: int | None) -> list[Any]:
        """The last values, taken from the stack: so many, or with None those since the last mark."""
        start = self.marks.pop() if count is None else len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise IndexError("it takes from the stack what is not there")
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def _referred(self, reference: object) -> object:
        """A storage: ("storage", type, key, device, count), and in files of old a view of it."""
        match reference:
            case (str("storage"), Name() as kind, str() as key, _, int() as count, *rest):
                start = rest[0][1] if rest and isinstance(rest[0], tuple) and len(rest[0]) == 3 else 0
                storage = Storage(key, kind.name, count, start if isinstance(start, int) else 0)
                self.storages.setdefault(key, storage)
                return storage
            case (str("module"), _, _, _):  # a class with its source, in files of old
                return reference[1]
            case _:
                return Foreign([reference])


def _filled(target: Any, values: list[object]) -> object:
    """The target with further entries, of which `values` has keys and values by turns."""
    entries: dict[object, object] = target
    if isinstance(target, Foreign):
        target.append(entries := {})
    for key, value in zip(values[::2], values[1::2], strict=True):
        entries[key if _is_plain(key) else object()] = value
    return target


def _is_plain(key: object) -> bool:
    """True for keys that are hashed at once, however often they are used."""
    if isinstance(key, int):
        return key.bit_length() <= _LARGEST_KEY
    return key is None or isinstance(key, (str, bytes, float))


def _made(function: object, arguments: object) -> object:
    """The value that stands in the place of a call's result."""
    name = function.name if isinstance(function, Name) else ""
    if not isinstance(arguments, tuple):
        return Foreign([arguments])
    given = cast("tuple[object, ...]", arguments)
    if name == _SUBCLASS and len(given) == 4 and isinstance(given[0], Name) and isinstance(given[2], tuple):
        name, given = given[0].name, cast("tuple[object, ...]", given[2])
    if name in _TENSORS and len(given) >= 4 and isinstance(given[0], Storage):
        told = given[6] if name == _TENSOR_V3 and len(given) > 6 else None
        kind = told.name if isinstance(told, Name) else given[0].kind
        return StoredTensor(given[0], kind, *given[1:4])
    if name in _AS_IT_IS and given:
        return given[0]
    if name == "collections.OrderedDict" and not given:
        return {}
    return Foreign(given)
