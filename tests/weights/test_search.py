"""The state dict is found in any nest of objects, nothing in it is run, and memory stays bounded."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import zipfile
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from yacs.config import CfgNode

import crossframe
from crossframe.weights import WeightsError
from crossframe.weights.archive import open_weights
from crossframe.weights.pickles import read_pickle
from crossframe.weights.search import find, paths_in
from crossframe.weights.tables import OPENAI
from tests.weights.files import refused
from tests.weights.small import XCLIP_CONFIG, make, published
from tests.weights.test_archive import GADGETS, gadget, memory_growth

STATE = published(make(XCLIP_CONFIG))
KEYS = st.sampled_from(["model", "state_dict", "ema", "module", "a b", "x.y", "0"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(2**2000, 2**2001), st.floats(), st.text(max_size=5),
    st.binary(max_size=5), st.sampled_from([np.float64(1), np.arange(3), torch.float16, torch.Size([2]), {1, 2}, ...]),
    st.builds(lambda: CfgNode({"a": {"b": 1}})), st.builds(lambda: OmegaConf.create({"a": [1]})),
    st.builds(lambda: Counter("ab")), st.builds(lambda: argparse.Namespace(a=1)),
)  # fmt: skip


def around(inner: Any, how: int, key: str, beside: Any) -> Any:
    """`inner` within one more object, with something else beside it."""
    namespace, config = argparse.Namespace(beside=beside), CfgNode()
    for one, value in ((key, inner), ("z", beside)):
        setattr(namespace, one, value)
        dict.__setitem__(config, one, value)  # its own would copy
    default: defaultdict[Any, Any] = defaultdict(list, {key: inner, 3: beside, (1, 2): beside})
    plain, ordered = {key: inner, "z": beside}, OrderedDict(z=beside, **{key: inner})
    return [plain, ordered, default, [beside, inner], (inner, beside), namespace, config][how]


class Gadget:
    """Pickles as a call of one of the gadgets."""

    def __init__(self, how: str, marker: Path) -> None:
        self.how, self.marker = how, marker

    def __reduce__(self) -> Any:
        return gadget(self.how, self.marker).__reduce__()


@given(
    layers=st.lists(st.tuples(st.integers(0, 6), KEYS, LEAVES), max_size=4),
    prefix=st.sampled_from(["", "module.", "module._orig_mod.", "net.clip."]),
    how=st.sampled_from(GADGETS),
    zipped=st.booleans(),
    protocol=st.integers(2, 5),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_state_dict_is_found_in_any_nest_and_nothing_is_run(
    tmp_path: Path, layers: list[Any], prefix: str, how: str, zipped: bool, protocol: int
) -> None:
    content: Any = {prefix + name: tensor for name, tensor in STATE.items()}
    for number, key, beside in layers:
        content = around(content, number, key, [beside, Gadget(how, tmp_path / "marker")])
    path = tmp_path / "nest.pth"
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with open_weights(path) as contents:
        found = find(contents.tensors, (OPENAI,))
        assert found is not None
        read = contents.read(found.paths)
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in STATE.items())
    assert not (tmp_path / "marker").exists()


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(WeightsError):
        assert all(isinstance(path, str) for path, _ in paths_in(read_pickle(io.BytesIO(b"\x80\x04" + data))))


def laughs(end: bytes, levels: int = 60) -> bytes:
    """A tuple of two tuples of two tuples ..., 2**60 in all, and something done with it."""
    return b"\x80\x02)" + b"q\x00h\x00\x86" * levels + b"q\x01" + end


@pytest.mark.parametrize("end", [
    b"}h\x01Ns.",  # a key, to be hashed
    b"}X\x01\x00\x00\x00aNs0h\x01(h\x01h\x01\x90.",  # into a set
    b"0ctorch\nFloatStorage\nq\x02X\x07\x00\x00\x00storageh\x02h\x01X\x03\x00\x00\x00cpuK\x04tQ.",
    b"0h\x01h\x01\x93.",  # a name
    b"0h\x01h\x01R.",
    b"cos\nsystem\nh\x01\x81.",
    b"cbuiltins\nset\nh\x01\x85R.",
    b"Q.",
])  # fmt: skip
def test_tuples_within_tuples_end_at_once(tmp_path: Path, end: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "laughs.pt", "w") as archive:
        archive.writestr("laughs/data.pkl", laughs(end))
    with memory_growth() as grown:
        refused(tmp_path / "laughs.pt", "holds no tensors|damaged|refused")
    assert grown() < 20 * 2**20


@pytest.mark.parametrize("place", ["shape", "stride", "offset", "key", "count"])
def test_tuples_within_tuples_where_a_tensor_has_numbers(tmp_path: Path, place: str) -> None:
    deep: Any = ()
    for _ in range(60):
        deep = (deep, deep)
    numbers = {"shape": (4,), "stride": (1,), "offset": 0, "key": "0", "count": 4} | {place: deep}

    class Stored:
        def __reduce__(self) -> Any:
            arguments = (Storage(), numbers["offset"], numbers["shape"], numbers["stride"], False, OrderedDict())
            return torch._utils._rebuild_tensor_v2, arguments

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            told = ("storage", torch.FloatStorage, numbers["key"], "cpu", numbers["count"])
            return told if isinstance(obj, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"visual.conv1.weight": Stored()})
    with zipfile.ZipFile(tmp_path / "laughs.pt", "w") as archive:
        archive.writestr("laughs/data.pkl", buffer.getvalue())
        archive.writestr("laughs/data/0", b"\0" * 16)
    refused(tmp_path / "laughs.pt", "impossible shape|holds no tensors")


def test_nests_of_any_depth_and_many_shared_parts_end(tmp_path: Path) -> None:
    shared = b"]q\x00" + b"(" + b"]" * 50_000 + b"e"
    deep = b"}X\x01\x00\x00\x00a" * 30_000 + b"N" + b"s" * 30_000
    for number, opcodes in enumerate((deep, shared + b"q\x01(" + b"cx\ny\nh\x01\x85R" * 20_000 + b"l")):
        with zipfile.ZipFile(tmp_path / f"{number}.pt", "w") as archive:
            archive.writestr("nest/data.pkl", b"\x80\x02" + opcodes + b".")
        with memory_growth() as grown:
            refused(tmp_path / f"{number}.pt", "holds no tensors")
        assert grown() < 100 * 2**20


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.safetensors").open("wb") as file:
        size = 2**40
        header = b'{"visual.conv1.weight":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (size // 4, size)
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    refused(tmp_path / "sparse.safetensors", "and this machine has .* GiB of memory")
    with (tmp_path / "zeros.pth").open("wb") as file:
        file.truncate(2**40)
    refused(tmp_path / "zeros.pth", "neither a safetensors file nor")
    assert os.stat(tmp_path / "zeros.pth").st_blocks < 2**20


def test_a_file_cut_off_in_its_numbers(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "old.pth").read_bytes()
    (tmp_path / "old.pth").write_bytes(whole[: len(whole) * 2 // 3])
    refused(tmp_path / "old.pth", "ends before its numbers do")
    (tmp_path / "old.pth").write_bytes(whole[:1000])
    refused(tmp_path / "old.pth", "its pickle is damaged")
    (tmp_path / "old.pth").write_bytes(whole)
    assert crossframe.load(tmp_path / "old.pth").config == XCLIP_CONFIG
