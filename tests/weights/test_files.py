"""Files as their publishers write them, and files that nobody should load."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import sys
import tracemalloc
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import crossframe
from crossframe.model.xclip import XCLIP
from crossframe.video.transform import Preprocess
from crossframe.weights import WeightsError
from crossframe.weights.tables import HF_CLIP, HF_XCLIP, OPENAI
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights, tokens_for, video_for


@pytest.fixture
def model() -> XCLIP:
    return make()


def refused(path: Path, message: str) -> None:
    """`load` says it in one line that names the file."""
    with pytest.raises(WeightsError, match=message) as caught:
        crossframe.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


class TestPublishedFiles:
    def test_the_authors_file_with_its_yacs_config_and_optimiser(
        self, model: XCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = types.ModuleType("yacs.config")
        module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config", "__qualname__": "CfgNode"})
        monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        monkeypatch.setitem(sys.modules, "yacs.config", module)
        config = module.CfgNode(DATA=module.CfgNode(NUM_FRAMES=4), BASE=[""], TRAIN=module.CfgNode(LR=8e-6))
        config.__dict__["__immutable__"] = True
        parameters = [nn.Parameter(torch.randn(3)) for _ in range(2)]
        optimizer = torch.optim.AdamW(parameters, lr=8e-6)
        sum(p.sum() for p in parameters).backward()
        optimizer.step()
        content = {
            "model": published(model),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": {"base_values": [8e-6], "t_in_epochs": False},
            "max_accuracy": 83.8,
            "epoch": 29,
            "config": config,
        }
        torch.save(content, tmp_path / "k400_16_8.pth")
        monkeypatch.undo()
        assert "yacs" not in sys.modules
        loaded = crossframe.load(tmp_path / "k400_16_8.pth")
        assert same_weights(loaded, model)
        assert loaded.config == XCLIP_CONFIG
        assert loaded.preprocess == Preprocess.xclip(32)
        assert not loaded.training

    @pytest.mark.parametrize("wrap", [
        lambda sd: sd,
        lambda sd: OrderedDict(sd),
        lambda sd: {"state_dict": sd, "epoch": 3},
        lambda sd: {"state_dict": {f"module.{name}": t for name, t in sd.items()}, "name": "run"},
        lambda sd: {"model": {name: nn.Parameter(t) for name, t in sd.items()}},
    ], ids=["plain", "ordered", "state_dict", "module.", "parameters"])  # fmt: skip
    def test_plain_state_dicts(self, model: XCLIP, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
        torch.save(wrap(published(model)), tmp_path / "weights.pt")
        assert same_weights(crossframe.load(tmp_path / "weights.pt"), model)

    def test_views_of_one_storage_are_read_where_they_lie(self, model: XCLIP, tmp_path: Path) -> None:
        state = published(model)
        state["visual.proj"] = state["visual.proj"].T.contiguous().T
        both = torch.cat([state["ln_final.weight"], state["ln_final.bias"]])
        state["ln_final.weight"], state["ln_final.bias"] = both.chunk(2)
        torch.save(state, tmp_path / "weights.pt")
        assert same_weights(crossframe.load(tmp_path / "weights.pt"), model)

    @pytest.mark.parametrize(("layout", "config"), [
        (OPENAI, XCLIP_CONFIG), (OPENAI, CLIP_CONFIG), (HF_XCLIP, XCLIP_CONFIG), (HF_CLIP, CLIP_CONFIG),
    ])  # fmt: skip
    def test_a_safetensors_file_of_any_layout(self, layout, config, tmp_path: Path) -> None:
        model = make(config)
        save_file(published(model, layout), tmp_path / "weights.safetensors")
        loaded = crossframe.load(tmp_path / "weights.safetensors")
        assert same_weights(loaded, model)
        assert replace(loaded.config, num_frames=4) == config

    def test_a_plain_clip_is_the_mean_of_frames_with_clips_own_pictures(self, tmp_path: Path) -> None:
        clip = make(CLIP_CONFIG)
        torch.save(published(clip), tmp_path / "clip.pt")
        loaded = crossframe.load(tmp_path / "clip.pt")
        assert loaded.mit is None
        assert loaded.prompts is None
        assert loaded.preprocess == Preprocess.clip(32)
        video = video_for(CLIP_CONFIG)
        with torch.no_grad():
            frames = torch.stack([loaded.encode_video(video[:, t : t + 1]).embedding for t in range(4)], dim=1)
            torch.testing.assert_close(loaded.encode_video(video).embedding, frames.mean(dim=1))

    def test_half_precision_becomes_single_unless_told_otherwise(self, model: XCLIP, tmp_path: Path) -> None:
        torch.save({name: t.half() for name, t in published(model).items()}, tmp_path / "half.pt")
        assert crossframe.load(tmp_path / "half.pt").dtype == torch.float32
        assert crossframe.load(tmp_path / "half.pt", dtype=torch.bfloat16).vision.position.dtype == torch.bfloat16

    def test_positions_interpolate_when_asked(
        self, model: XCLIP, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        torch.save(published(model), tmp_path / "weights.pt")
        loaded = crossframe.load(tmp_path / "weights.pt", num_frames=6, image_size=48)
        assert "grid positions are interpolated from 16 places to 6 x 6" in caplog.text
        assert "time positions are interpolated from 4 frames to 6" in caplog.text
        assert loaded.preprocess == Preprocess.xclip(48)
        with torch.no_grad():
            assert loaded(video_for(loaded.config), tokens_for(loaded.config)).isfinite().all()
        assert torch.equal(loaded.vision.position[0], model.vision.position[0])
        back = crossframe.load(tmp_path / "weights.pt", num_frames=4, image_size=32)
        assert same_weights(back, model)


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
class TestTorchScript:
    def test_openais_archive_is_read_without_running_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = make(CLIP_CONFIG)
        script(published(clip), tmp_path / "ViT.pt")

        def never(*_: object, **__: object) -> None:
            raise AssertionError("the archive was executed")

        monkeypatch.setattr(torch.jit, "load", never)
        loaded = crossframe.load(tmp_path / "ViT.pt")
        assert replace(loaded.config, num_frames=4) == CLIP_CONFIG
        for name, tensor in clip.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor.half().float())

    def test_a_setstate_that_writes_a_file_is_refused_and_not_run(self, tmp_path: Path) -> None:
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
        refused(tmp_path / "trap.pt", "defines __setstate__, which would run on loading: refused")
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


class TestHostileFiles:
    @pytest.mark.parametrize("place", ["top", "inside", "beside"])
    @pytest.mark.parametrize("how", ["system", "eval", "exec", "getattr", "open", "import", "jit"])
    def test_pickles_that_call_something_are_refused_and_nothing_is_run(
        self, model: XCLIP, tmp_path: Path, how: str, place: str
    ) -> None:
        marker = tmp_path / "marker"
        trap = {
            "system": Calls(os.system, f"touch {marker}"),
            "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
            "exec": Calls(exec, f"open({str(marker)!r}, 'w')"),
            "getattr": Calls(getattr, Calls(getattr, os, "path"), "join"),
            "open": Calls(open, str(marker), "w"),
            "import": Calls(__import__, "antigravity"),
            "jit": Calls(torch.jit.load, str(marker)),
        }[how] if how != "getattr" else Calls(getattr, Calls(__import__, "os"), "system")  # fmt: skip
        state = published(model)
        content = {"top": trap, "inside": state | {"visual.proj": trap}, "beside": {"model": state, "epoch": trap}}
        torch.save(content[place], tmp_path / "trap.pth")
        refused(tmp_path / "trap.pth", "refused, nothing was run")
        assert not marker.exists()

    def test_the_file_is_named_with_what_it_asked_for(self, tmp_path: Path) -> None:
        torch.save(Calls(os.system, "true"), tmp_path / "trap.pth")
        refused(tmp_path / "trap.pth", r"its pickle asks for (posix|nt)\.system, which weights do not need")

    def test_a_whole_pickled_module_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
        refused(tmp_path / "module.pt", r"torch\.nn\.modules\.linear\.Linear.*save the model's state_dict\(\) alone")

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
    def test_a_pickle_that_wants_memory_or_makes_no_sense(self, tmp_path: Path, opcodes: bytes) -> None:
        with zipfile.ZipFile(tmp_path / "odd.pt", "w") as archive:
            archive.writestr("odd/data.pkl", opcodes)
        refused(tmp_path / "odd.pt", "pickle|not a file that PyTorch wrote|damaged or incomplete|state dict")

    def test_shapes_that_reach_beyond_what_is_stored(self, model: XCLIP, tmp_path: Path) -> None:
        for shape, stride in (((10**6, 10**6), (0, 0)), ((8,), (10**9,)), ((-1,), (1,))):
            pickled = self.archive_with(tmp_path / "wide.pt", shape, stride, stored=16)
            refused(pickled, "impossible shape|reaches beyond")

    def test_many_names_for_one_storage_cannot_exceed_the_file(self, tmp_path: Path) -> None:
        one = torch.zeros(2**20)
        torch.save({f"name{i}": one for i in range(4000)}, tmp_path / "bomb.pt")
        refused(tmp_path / "bomb.pt", "more than it is long")

    def test_a_zip_bomb_is_not_unpacked(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb/data.pkl", b"\0" * (65 * 2**20))
        refused(tmp_path / "bomb.pt", "its entry bomb/data.pkl has 68157440 bytes; at most")

    def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked(self, tmp_path: Path) -> None:
        self.lying_bomb(tmp_path / "bomb.pt", zipfile.ZIP_DEFLATED, size=300 * 2**20)
        with memory_growth() as grown:
            refused(tmp_path / "bomb.pt", "damaged or incomplete")
        assert grown() < 200 * 2**20

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_what_can_only_be_unpacked_whole_is_not_unpacked(self, tmp_path: Path, method: int) -> None:
        self.lying_bomb(tmp_path / "bomb.pt", method, size=2**20)
        refused(tmp_path / "bomb.pt", "its entry bomb/data.pkl is packed in a way that PyTorch never uses")

    @staticmethod
    def lying_bomb(path: Path, method: int, size: int) -> None:
        with zipfile.ZipFile(path, "w", method) as archive, archive.open("bomb/data.pkl", "w") as entry:
            for _ in range(size // 2**20):
                entry.write(b"\0" * 2**20)
        path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 1000)))

    @pytest.mark.parametrize("name", [b"torch.jit._pickle\nbuild_intlist", b"collections\nOrderedDict"])
    def test_copies_of_copies_are_not_made(self, tmp_path: Path, name: bytes) -> None:
        many = pairs(50_000) if name.endswith(b"Dict") else b"](" + b"N" * 500_000 + b"e"
        opcodes = b"\x80\x02c" + name + b"\nq\x00" + many + b"\x85q\x01](" + b"h\x00h\x01R" * 100 + b"e."
        with zipfile.ZipFile(tmp_path / "copies.pt", "w") as archive:
            archive.writestr("copies/data.pkl", opcodes)
        with memory_growth() as grown:
            refused(tmp_path / "copies.pt", "state dict was expected|not a file that PyTorch wrote")
        assert grown() < 300 * 2**20

    @pytest.mark.parametrize("part", ["visual.transformer", "transformer", "mit"])
    def test_a_layer_of_a_high_number_is_not_built(self, model: XCLIP, tmp_path: Path, part: str) -> None:
        name = f"{part}.resblocks.99999999.ln_1.weight"
        torch.save(published(model) | {name: torch.zeros(128)}, tmp_path / "deep.pt")
        refused(tmp_path / "deep.pt", r"has \d+ tensors, and its names or its config speak of 1\d+ layers")

    def test_names_that_strangers_chose_stay_in_one_short_line(self, model: XCLIP, tmp_path: Path) -> None:
        torch.save(published(model) | {"a\nb\x1b[31m" + "c" * 5000: torch.zeros(1)}, tmp_path / "names.pt")
        refused(tmp_path / "names.pt", r"left over in the layout of OpenAI: a b\?\[31mccc.*\.\.\.$")

    def test_packed_tensors_are_not_unpacked(self, model: XCLIP, tmp_path: Path) -> None:
        torch.save(published(model), tmp_path / "plain.pt")
        plain = zipfile.ZipFile(tmp_path / "plain.pt")
        with plain, zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for entry in plain.infolist():
                packed.writestr(entry.filename, plain.read(entry))
        refused(tmp_path / "packed.pt", "compressed, which|more than it is long")

    @staticmethod
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


class TestDamagedFiles:
    @pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
    @pytest.mark.parametrize("kind", ["pth", "safetensors"])
    def test_truncated(self, model: XCLIP, tmp_path: Path, kind: str, part: float) -> None:
        path = tmp_path / f"weights.{kind}"
        save_file(published(model), path) if kind == "safetensors" else torch.save(published(model), path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * part)])
        refused(path, "damaged or incomplete|neither a safetensors file|written by|zip file")

    def test_a_flipped_bit_in_an_archive(self, model: XCLIP, tmp_path: Path) -> None:
        torch.save(published(model), tmp_path / "weights.pth")
        whole = bytearray((tmp_path / "weights.pth").read_bytes())
        whole[len(whole) // 2] ^= 1
        (tmp_path / "weights.pth").write_bytes(whole)
        refused(tmp_path / "weights.pth", "damaged or incomplete")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_not_finite(self, model: XCLIP, tmp_path: Path, value: float) -> None:
        state = published(model)
        state["visual.transformer.resblocks.1.message_fc.weight"][3, 5] = value
        torch.save(state, tmp_path / "weights.pth")
        refused(tmp_path / "weights.pth", r"not finite.*visual\.transformer\.resblocks\.1\.message_fc\.weight")

    def test_a_missing_tensor(self, model: XCLIP, tmp_path: Path) -> None:
        state = published(model)
        for name in ("transformer.resblocks.0.ln_1.bias", "visual.conv1.weight", "mit.resblocks.0.mlp.c_fc.weight"):
            torch.save({key: tensor for key, tensor in state.items() if key != name}, tmp_path / "weights.pth")
            refused(tmp_path / "weights.pth", f"missing {re.escape(name)}|no known layout")

    def test_many_missing_tensors_are_counted(self, model: XCLIP, tmp_path: Path) -> None:
        state = {name: t for name, t in published(model).items() if ".ln_1." not in name}
        torch.save(state, tmp_path / "weights.pth")
        refused(tmp_path / "weights.pth", r"missing mit\.resblocks\.0\.ln_1\.bias, .* and 7 more")

    def test_a_tensor_too_many(self, model: XCLIP, tmp_path: Path) -> None:
        torch.save(published(model) | {"visual.surprise": torch.zeros(1)}, tmp_path / "weights.pth")
        refused(tmp_path / "weights.pth", r"left over.*visual\.surprise")

    @pytest.mark.parametrize("name", ["visual.proj", "ln_final.weight", "mit.positional_embedding", "logit_scale"])
    def test_a_tensor_of_another_shape(self, model: XCLIP, tmp_path: Path, name: str) -> None:
        state = published(model)
        state[name] = torch.zeros(3, 3, 3)
        torch.save(state, tmp_path / "weights.pth")
        refused(tmp_path / "weights.pth", "shape|dimensions")

    @pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn])
    def test_values_of_other_types_are_no_weights(self, model: XCLIP, tmp_path: Path, dtype: torch.dtype) -> None:
        state = published(model)
        state["ln_final.weight"] = state["ln_final.weight"].to(dtype)
        save_file(state, tmp_path / "weights.safetensors")
        refused(tmp_path / "weights.safetensors", rf"of type {str(dtype)[6:]}, in ln_final\.weight")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "neither a safetensors file nor"),
            (pickle.dumps({"a": 1}, protocol=2), "written by PyTorch 1.5 or older"),
            (struct.pack("<Q", 2**40) + b"{", "damaged or incomplete"),
            (b"", "neither a safetensors file nor"),
        ],
    )
    def test_other_files(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "weights.pth").write_bytes(content)
        refused(tmp_path / "weights.pth", message)

    def test_a_zip_file_of_something_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
            archive.writestr("picture.jpg", b"")
        refused(tmp_path / "holiday.zip", r"not one of PyTorch's \(it has no data\.pkl\)")

    def test_state_dicts_of_other_models(self, tmp_path: Path) -> None:
        torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
        refused(tmp_path / "other.pth", r"holds conv1\.weight, which is no known layout")
        torch.save({"visual.layer1.0.conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
        refused(tmp_path / "resnet.pth", "image encoder is a ResNet")
        torch.save({"epoch": 3, "args": "x"}, tmp_path / "empty.pth")
        refused(tmp_path / "empty.pth", "holds no tensors at its top, nor under model or state_dict, but args, epoch")
