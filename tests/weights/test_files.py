"""Files as their publishers write them, and damaged ones."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import crossframe
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.weights.tables import HF_CLIP, HF_XCLIP, OPENAI
from tests.weights.files import refused
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights, tokens_for, video_for


@pytest.fixture
def model() -> XCLIP:
    return make()


@pytest.mark.parametrize("wrap", [
    lambda sd: sd,
    lambda sd: OrderedDict(sd),
    lambda sd: {"state_dict": sd, "epoch": 3},
    lambda sd: {"state_dict": {f"module.{name}": t for name, t in sd.items()}, "name": "run"},
    lambda sd: {"model": {name: nn.Parameter(t) for name, t in sd.items()}},
], ids=["plain", "ordered", "state_dict", "module.", "parameters"])  # fmt: skip
def test_plain_state_dicts(model: XCLIP, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    torch.save(wrap(published(model)), tmp_path / "weights.pt")
    assert same_weights(crossframe.load(tmp_path / "weights.pt"), model)


def test_views_of_one_storage_are_read_where_they_lie(model: XCLIP, tmp_path: Path) -> None:
    state = published(model)
    state["visual.proj"] = state["visual.proj"].T.contiguous().T
    both = torch.cat([state["ln_final.weight"], state["ln_final.bias"]])
    state["ln_final.weight"], state["ln_final.bias"] = both.chunk(2)
    torch.save(state, tmp_path / "weights.pt")
    assert same_weights(crossframe.load(tmp_path / "weights.pt"), model)


@pytest.mark.parametrize(("layout", "config"), [
    (OPENAI, XCLIP_CONFIG), (OPENAI, CLIP_CONFIG), (HF_XCLIP, XCLIP_CONFIG), (HF_CLIP, CLIP_CONFIG),
])  # fmt: skip
def test_a_safetensors_file_of_any_layout(layout, config, tmp_path: Path) -> None:
    model = make(config)
    save_file(published(model, layout), tmp_path / "weights.safetensors")
    loaded = crossframe.load(tmp_path / "weights.safetensors")
    assert same_weights(loaded, model)
    assert replace(loaded.config, num_frames=4) == config


def test_a_plain_clip_is_the_mean_of_frames_with_clips_own_pictures(tmp_path: Path) -> None:
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


def test_half_precision_becomes_single_unless_told_otherwise(model: XCLIP, tmp_path: Path) -> None:
    torch.save({name: t.half() for name, t in published(model).items()}, tmp_path / "half.pt")
    assert crossframe.load(tmp_path / "half.pt").dtype == torch.float32
    assert crossframe.load(tmp_path / "half.pt", dtype=torch.bfloat16).vision.position.dtype == torch.bfloat16


def test_positions_interpolate_when_asked(model: XCLIP, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_truncated(model: XCLIP, tmp_path: Path, kind: str, part: float) -> None:
    path = tmp_path / f"weights.{kind}"
    save_file(published(model), path) if kind == "safetensors" else torch.save(published(model), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    refused(path, "damaged or incomplete|neither a safetensors file|written by|zip file")


def test_a_flipped_bit_in_an_archive(model: XCLIP, tmp_path: Path) -> None:
    torch.save(published(model), tmp_path / "weights.pth")
    whole = bytearray((tmp_path / "weights.pth").read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(whole)
    refused(tmp_path / "weights.pth", "damaged or incomplete")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(model: XCLIP, tmp_path: Path, value: float) -> None:
    state = published(model)
    state["visual.transformer.resblocks.1.message_fc.weight"][3, 5] = value
    torch.save(state, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", r"not finite.*visual\.transformer\.resblocks\.1\.message_fc\.weight")


def test_a_missing_tensor(model: XCLIP, tmp_path: Path) -> None:
    state = published(model)
    for name in ("transformer.resblocks.0.ln_1.bias", "visual.conv1.weight", "mit.resblocks.0.mlp.c_fc.weight"):
        torch.save({key: tensor for key, tensor in state.items() if key != name}, tmp_path / "weights.pth")
        refused(tmp_path / "weights.pth", f"missing {re.escape(name)}|no known layout")


def test_many_missing_tensors_are_counted(model: XCLIP, tmp_path: Path) -> None:
    state = {name: t for name, t in published(model).items() if ".ln_1." not in name}
    torch.save(state, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", r"missing mit\.resblocks\.0\.ln_1\.bias, .* and 7 more")


def test_a_tensor_too_many(model: XCLIP, tmp_path: Path) -> None:
    torch.save(published(model) | {"visual.surprise": torch.zeros(1)}, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", r"left over.*visual\.surprise")


@pytest.mark.parametrize("name", ["visual.proj", "ln_final.weight", "mit.positional_embedding", "logit_scale"])
def test_a_tensor_of_another_shape(model: XCLIP, tmp_path: Path, name: str) -> None:
    state = published(model)
    state[name] = torch.zeros(3, 3, 3)
    torch.save(state, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", "shape|dimensions")


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn])
def test_values_of_other_types_are_no_weights(model: XCLIP, tmp_path: Path, dtype: torch.dtype) -> None:
    state = published(model)
    state["ln_final.weight"] = state["ln_final.weight"].to(dtype)
    save_file(state, tmp_path / "weights.safetensors")
    refused(tmp_path / "weights.safetensors", rf"of type {str(dtype)[6:]}, in ln_final\.weight")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "neither a safetensors file nor .* lfs pull"),
        (b"<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title></html>", "a web page"),
        (b"\n  <html>", "a web page"),
        (b'{"a": 1}', "a text of JSON"),
        (b"\x1f\x8b\x08", "packed by gzip"),
        (b"hello", "neither a safetensors file nor one that PyTorch wrote$"),
        (b"x" * 257 + b"ustar\0" + b"\0" * 300, "a tar archive"),
        (pickle.dumps({"a": 1}, protocol=2), "a pickle, but none that torch.save wrote"),
        (struct.pack("<Q", 2**40) + b"{", "damaged or incomplete"),
        (b"", "but empty: fetch it again"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    refused(tmp_path / "weights.pth", message)


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        archive.writestr("picture.jpg", b"")
    refused(tmp_path / "holiday.zip", r"not one of PyTorch's \(it has no data\.pkl\)")


def test_state_dicts_of_other_models(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", r"holds conv1\.weight, which is no known layout")
    torch.save({"visual.layer1.0.conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    refused(tmp_path / "resnet.pth", "image encoder is a ResNet")
    torch.save({"epoch": 3, "args": "x"}, tmp_path / "empty.pth")
    refused(tmp_path / "empty.pth", "holds no tensors, but args, epoch")
