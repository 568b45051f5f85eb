"""Archives that hold code, and files that nobody should load: nothing in them is run, and none takes memory."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import crossframe
from crossframe.model.xclip import XCLIP
from tests.weights.files import refused
from tests.weights.small import CLIP_CONFIG, make, published, same_weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")


@pytest.fixture
def model() -> XCLIP:
    return make()


class Scripted(nn.Module):
    """As OpenAI's archives: modules of a state dict, numbers beside them, half precision."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        children: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            first, _, rest = name.partition(".")
            if rest:
                children.setdefault(first, {})[rest] = tensor
            else:
                self.register_parameter(name, nn.Parameter(tensor))
        for name, tensors in children.items():
            self.add_module(name, Scripted(tensors))

    def forward(self, x: Tensor) -> Tensor:
        return x


def script(state: dict[str, Tensor], path: Path) -> None:
    root = Scripted({name: tensor.half() for name, tensor in state.items()})
    for name, value in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 96)):
        root.register_buffer(name, torch.tensor(value))
    torch.jit.save(torch.jit.trace(root, torch.zeros(1)), path)


def test_openais_archive_is_read_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make(CLIP_CONFIG)
    script(published(clip), tmp_path / "ViT.pt")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the archive was executed")

    monkeypatch.setattr(torch.jit, "load", never)
    loaded = crossframe.load(tmp_path / "ViT.pt")
    assert replace(loaded.config, num_frames=4) == CLIP_CONFIG
    for name, tensor in clip.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_a_setstate_that_writes_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap(nn.Module):
        def __init__(self, marker: str) -> None:
            super().__init__()
            self.marker = marker

        @torch.jit.export
        def __getstate__(self) -> tuple[str, bool]:
            return (self.marker, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]) -> None:
            self.marker = state[0]
            self.training = state[1]
            torch.save(torch.zeros(1), state[0])

        def forward(self, x: Tensor) -> Tensor:
            return x

    marker = tmp_path / "marker"
    torch.jit.save(torch.jit.script(Trap(str(marker))), tmp_path / "trap.pt")
    torch.jit.load(str(tmp_path / "trap.pt"))
    assert marker.is_file()  # so the trap works
    marker.unlink()
    refused(tmp_path / "trap.pt", "holds no tensors")
    assert not marker.exists()


class Calls:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def pairs(count: int) -> bytes:
    """A pickled dict of that many numbers."""
    return b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(count)) + b"u"


@contextmanager
def memory_growth() -> Iterator[Callable[[], int]]:
    """How many bytes Python took at most, in one go, within the block."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def gadget(how: str, marker: Path) -> object:
    """Something that would write `marker` if a pickle of it were run."""
    return {
        "system": Calls(os.system, f"touch {marker}"),
        "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
        "exec": Calls(exec, f"open({str(marker)!r}, 'w')"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "open": Calls(open, str(marker), "w"),
        "import": Calls(__import__, "antigravity"),
        "jit": Calls(torch.jit.load, str(marker)),
        "popen": Calls(subprocess.Popen, ["touch", str(marker)]),
        "mkdir": Calls(os.mkdir, str(marker)),
        "map": Calls(list, Calls(map, os.mkdir, [str(marker)])),
    }[how]


GADGETS = ("system", "eval", "exec", "getattr", "open", "import", "jit", "popen", "mkdir", "map")


@pytest.mark.parametrize("place", ["top", "inside", "beside"])
@pytest.mark.parametrize("how", GADGETS)
def test_pickles_that_call_something_are_data_and_nothing_is_run(
    model: XCLIP, tmp_path: Path, how: str, place: str
) -> None:
    marker, state = tmp_path / "marker", published(model)
    trap = gadget(how, marker)
    content = {"top": trap, "inside": state | {"visual.proj": trap}, "beside": {"model": state, "epoch": trap}}
    torch.save(content[place], tmp_path / "trap.pth")
    if place == "beside":
        assert same_weights(crossframe.load(tmp_path / "trap.pth"), model)
    else:
        refused(tmp_path / "trap.pth", "holds no tensors, but" if place == "top" else "missing visual.proj")
    assert not marker.exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("opcodes", [
    b"(S'touch {marker}'\nios\nsystem\n.",
    b"(cos\nsystem\nS'touch {marker}'\no.",
    b"cos\nsystem\n(S'touch {marker}'\ntR.",
    b"\x80\x04cos\nsystem\n(S'touch {marker}'\nt}\x92.",
    b"\x80\x02cbuiltins\nobject\n)\x81}S'__setstate__'\ncos\nsystem\nsbS'touch {marker}'\nb.",
    b"\x80\x02\x82\x01.",
], ids=["INST", "OBJ", "protocol 0", "NEWOBJ_EX", "BUILD", "EXT1"])  # fmt: skip
def test_every_opcode_that_calls_is_data(tmp_path: Path, opcodes: bytes) -> None:
    marker = tmp_path / "marker"
    with zipfile.ZipFile(tmp_path / "trap.pt", "w") as archive:
        archive.writestr("trap/data.pkl", opcodes.replace(b"{marker}", str(marker).encode()))
    refused(tmp_path / "trap.pt", "holds no tensors")
    assert not marker.exists()


@pytest.mark.parametrize("content", [None, 3, "weights", b"weights", {}, [[]]])
def test_what_holds_nothing_is_said_to(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    refused(tmp_path / "odd.pth", "holds no tensors, but objects of other kinds")


def test_arrays_of_numpy_are_refused_with_the_remedy(model: XCLIP, tmp_path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    torch.save(arrays, tmp_path / "arrays.pt")
    np.savez(tmp_path / "arrays.npz", **arrays)
    refused(tmp_path / "arrays.pt", "holds no tensors, but .*made by torch.from_numpy where it has arrays")
    refused(tmp_path / "arrays.npz", "arrays of numpy: make tensors of them")


def test_graphs_are_refused_with_the_remedy(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "model.pt2")
    refused(tmp_path / "model.pt2", "a program of torch.export, which holds no model to load")
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x062.13.0")
    refused(tmp_path / "model.onnx", "a graph of ONNX, which holds no model to load")


def test_a_whole_pickled_module_is_read_by_its_names(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    refused(tmp_path / "module.pt", "holds bias, weight, which is no known layout")


@pytest.mark.parametrize("opcodes", [
    b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo of two billion places
    b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",  # 64 GiB of zeros
    b"\x80\x02ccollections\nOrderedDict\n}(X\x01\x00\x00\x00ai.\x00\x00\x00ub.",
    b"\x80\x02(i__main__\nx\n.",
    b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # bytes longer than the file
    b"\x80\x02X\xff\xff\xff\x7fabc.",  # a string longer than the file
    b"\x80\x02" + b"(" * 100_000 + b".",
    b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # lists within lists
    b"",
    b"garbage",
])  # fmt: skip
def test_a_pickle_that_wants_memory_or_makes_no_sense(tmp_path: Path, opcodes: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "odd.pt", "w") as archive:
        archive.writestr("odd/data.pkl", opcodes)
    refused(tmp_path / "odd.pt", "pickle|not a file that PyTorch wrote|damaged or incomplete|holds no tensors")


def test_shapes_that_reach_beyond_what_is_stored(model: XCLIP, tmp_path: Path) -> None:
    for shape, stride in (((10**6, 10**6), (0, 0)), ((8,), (10**9,)), ((-1,), (1,))):
        pickled = archive_with(tmp_path / "wide.pt", shape, stride, stored=16)
        refused(pickled, "impossible shape|reaches beyond")


def test_many_names_for_one_storage_cannot_exceed_the_file(tmp_path: Path) -> None:
    one = torch.zeros(2**20)
    names = ["visual.conv1.weight", *(f"name{i}" for i in range(4000))]
    torch.save(dict.fromkeys(names, one), tmp_path / "bomb.pt")
    refused(tmp_path / "bomb.pt", "more than it is long")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", b"\0" * (65 * 2**20))
    refused(tmp_path / "bomb.pt", "its entry bomb/data.pkl has 68157440 bytes; at most")


def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    lying_bomb(tmp_path / "bomb.pt", zipfile.ZIP_DEFLATED, size=300 * 2**20)
    with memory_growth() as grown:
        refused(tmp_path / "bomb.pt", "damaged or incomplete")
    assert grown() < 200 * 2**20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_can_only_be_unpacked_whole_is_not_unpacked(tmp_path: Path, method: int) -> None:
    lying_bomb(tmp_path / "bomb.pt", method, size=2**20)
    refused(tmp_path / "bomb.pt", "its entry bomb/data.pkl is packed in a way that PyTorch never uses")


def lying_bomb(path: Path, method: int, size: int) -> None:
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("bomb/data.pkl", "w") as entry:
        for _ in range(size // 2**20):
            entry.write(b"\0" * 2**20)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 1000)))


@pytest.mark.parametrize("name", [b"torch.jit._pickle\nbuild_intlist", b"collections\nOrderedDict"])
def test_copies_of_copies_are_not_made(tmp_path: Path, name: bytes) -> None:
    many = pairs(50_000) if name.endswith(b"Dict") else b"](" + b"N" * 500_000 + b"e"
    opcodes = b"\x80\x02c" + name + b"\nq\x00" + many + b"\x85q\x01](" + b"h\x00h\x01R" * 100 + b"e."
    with zipfile.ZipFile(tmp_path / "copies.pt", "w") as archive:
        archive.writestr("copies/data.pkl", opcodes)
    with memory_growth() as grown:
        refused(tmp_path / "copies.pt", "holds no tensors")
    assert grown() < 300 * 2**20


@pytest.mark.parametrize("part", ["visual.transformer", "transformer", "mit"])
def test_a_layer_of_a_high_number_is_not_built(model: XCLIP, tmp_path: Path, part: str) -> None:
    name = f"{part}.resblocks.99999999.ln_1.weight"
    torch.save(published(model) | {name: torch.zeros(128)}, tmp_path / "deep.pt")
    refused(tmp_path / "deep.pt", r"has \d+ tensors, and its names or its config speak of 1\d+ layers")


def test_names_that_strangers_chose_stay_in_one_short_line(model: XCLIP, tmp_path: Path) -> None:
    torch.save(published(model) | {"a\nb\x1b[31m" + "c" * 5000: torch.zeros(1)}, tmp_path / "names.pt")
    refused(tmp_path / "names.pt", r"left over in the layout of OpenAI: a\\nb\\x1b\[31mccc.*\.\.\.$")


def test_packed_tensors_are_not_unpacked(model: XCLIP, tmp_path: Path) -> None:
    torch.save(published(model), tmp_path / "plain.pt")
    plain = zipfile.ZipFile(tmp_path / "plain.pt")
    with plain, zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    refused(tmp_path / "packed.pt", "compressed, which|more than it is long")


def archive_with(path: Path, shape: tuple[int, ...], stride: tuple[int, ...], stored: int) -> Path:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return obj[1] if isinstance(obj, tuple) and obj[:1] == ("stored",) else None

    storage = ("stored", ("storage", torch.FloatStorage, "0", "cpu", stored))
    rebuild = Calls(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, OrderedDict())
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"visual.conv1.weight": rebuild})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wide/data.pkl", buffer.getvalue())
        archive.writestr("wide/data/0", b"\0" * 4 * stored)
    return path
