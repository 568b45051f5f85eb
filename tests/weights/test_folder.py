"""Folders of our own."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import crossframe
from crossframe.model.preprocess import IMAGENET_MEAN, Preprocess, default_preprocess
from crossframe.model.xclip import XCLIP
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights import WeightsError
from crossframe.weights.saving import fingerprint
from tests.weights.files import edit
from tests.weights.small import XCLIP_CONFIG, make, published, same_weights


def test_everything_comes_back(tmp_path: Path) -> None:
    corpus = ["a red square moves left", "a blue circle grows"]
    tokenizer = Tokenizer.train(corpus, 600, context_length=16)
    config = replace(XCLIP_CONFIG, text=replace(XCLIP_CONFIG.text, vocab_size=tokenizer.vocab_size))
    model = make(config)
    model.tokenizer = tokenizer
    model.preprocess = Preprocess(32, None, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", antialias=True)
    assert crossframe.save(model, tmp_path / "run" / "best") == tmp_path / "run" / "best"
    loaded = crossframe.load(tmp_path / "run" / "best")
    assert same_weights(loaded, model)
    assert fingerprint(loaded) == fingerprint(model)
    assert loaded.config == config
    assert loaded.preprocess == model.preprocess
    assert torch.equal(loaded.tokenize(corpus), model.tokenize(corpus))
    assert sorted(path.name for path in (tmp_path / "run" / "best").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["best"]


def test_saving_again_replaces_the_files_and_leaves_others(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    (tmp_path / "optimizer.pt").write_text("beside")
    second = make()
    crossframe.save(second, tmp_path)
    assert same_weights(crossframe.load(tmp_path), second)
    assert (tmp_path / "optimizer.pt").read_text() == "beside"


@pytest.mark.parametrize("moved", [1, 2])
def test_a_save_cut_off_between_its_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    def ours(alpha: float) -> XCLIP:
        assert XCLIP_CONFIG.prompts is not None
        config = replace(XCLIP_CONFIG, prompts=replace(XCLIP_CONFIG.prompts, alpha=alpha))
        model = make(config)
        model.tokenizer = Tokenizer.train(["red square" if alpha < 0.15 else "blue circle"], 600, context_length=16)
        return model

    crossframe.save(ours(0.1), tmp_path)
    left = moved

    def cut_off(*names: Any) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        move(*names)

    move = os.replace
    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        crossframe.save(ours(0.2), tmp_path)
    with pytest.raises(WeightsError, match=r"(config|tokenizer)\.json is not what was saved with model\.safeten"):
        crossframe.load(tmp_path)


def test_a_model_may_be_saved_over_the_file_it_was_loaded_from(tmp_path: Path) -> None:
    first = make()
    crossframe.save(first, tmp_path)
    loaded = crossframe.load(tmp_path)
    crossframe.save(make(), tmp_path)
    assert same_weights(loaded, first)


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    model = make()
    crossframe.save(model, tmp_path / "whole")
    crossframe.save(model, tmp_path / "half", dtype=torch.float16)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.55 * sizes[1]
    loaded = crossframe.load(tmp_path / "half")
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded.vision.projection, model.vision.projection.half().float())


def test_double_precision_stays(tmp_path: Path) -> None:
    model = make(dtype=torch.float64)
    crossframe.save(model, tmp_path)
    assert same_weights(crossframe.load(tmp_path), model)


def test_the_weights_file_stands_for_its_folder(tmp_path: Path) -> None:
    config = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, heads=8, activation="gelu"))
    crossframe.save(make(config), tmp_path)
    assert crossframe.load(tmp_path / "model.safetensors").config == config
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"crossframe's own: give the folder .* config\.json"):
        crossframe.load(tmp_path / "model.safetensors")


def test_a_folder_that_cannot_be_made_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def refuse(path: Path, *given: Any, **options: Any) -> None:
        if path.suffix == ".part":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        mkdir(path, *given, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError) as caught:
        crossframe.save(make(XCLIP_CONFIG), tmp_path / "model")
    assert caught.value.filename == str(tmp_path / "model")


def test_a_full_disk_keeps_the_old_model_and_is_one_line(tmp_path: Path) -> None:
    old = make()
    crossframe.save(old, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # a write beyond it fails, as on a full disk
    try:
        with pytest.raises(OSError, match=r"File too large: '.*model\.safetensors'"):
            crossframe.save(make(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same_weights(crossframe.load(tmp_path), old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_half_a_save_lies_in_the_folder_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    beside: list[Path] = []

    def killed(*_: object) -> None:
        beside.extend(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr("crossframe.weights.saving.save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        crossframe.save(make(), tmp_path / "model")
    assert beside == [tmp_path / "model"]  # what replaces a checkpoint begins with removing this folder


def test_a_run_is_told_from_its_checkpoints(tmp_path: Path) -> None:
    for name in ("last", "best"):
        crossframe.save(make(), tmp_path / name)
        with pytest.raises(WeightsError, match=r"is the folder of a run: give .*last, a checkpoint in it"):
            crossframe.load(tmp_path)


def test_a_file_in_the_place_of_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("kept")
    with pytest.raises(FileExistsError, match="is a file, where a folder is needed; give another path") as caught:
        crossframe.save(make(), tmp_path / "clip.mp4")
    assert caught.value.filename == str(tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_precision_that_cannot_hold_the_weights(tmp_path: Path) -> None:
    model = make()
    crossframe.save(model, tmp_path)
    with torch.no_grad():
        model.vision.projection[0, 0] = 1e6
    with pytest.raises(WeightsError, match=r"vision\.projection would hold values in torch\.float16 that are not"):
        crossframe.save(model, tmp_path, dtype=torch.float16)
    crossframe.save(model, tmp_path / "wide", dtype=torch.bfloat16)
    with torch.no_grad():
        model.vision.projection[0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"vision\.projection would hold values that are not finite"):
        crossframe.save(model, tmp_path)
    assert crossframe.load(tmp_path).vision.projection.abs().max() < 1e6  # what was there before


def test_pictures_of_another_size_than_the_positions_are_not_saved(tmp_path: Path) -> None:
    model = make()
    model.preprocess = model.preprocess.at(2 * model.preprocess.size)
    with pytest.raises(WeightsError, match=r"makes pictures of \d+, and its positions are for .*image_size="):
        crossframe.save(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.int8, "bfloat16"])
def test_a_type_that_weights_cannot_have(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(WeightsError, match="weights are of a floating type of torch"):
        crossframe.load(crossframe.save(make(), tmp_path), dtype=dtype)


@pytest.mark.parametrize("change", [{"num_frames": 0}, {"image_size": 0}, {"image_size": 33}])
def test_sizes_that_no_model_has(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"num_frames is 0|image_size is 0|image size 33 is not a multiple"):
        crossframe.load(crossframe.save(make(), tmp_path), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "has schema 2, and this version reads up to 1: upgrade crossframe"),
        ({"schema": "one"}, "its schema is 'one'; expected a number from 1 to 1"),
        ({"model": {}}, "incomplete"),
        (
            {"model": XCLIP_CONFIG.to_dict() | {"vision": {"patch_size": 0}}},
            "patch_size is 0; it must be 1 or more",
        ),
        ({"model": XCLIP_CONFIG.to_dict() | {"embed_dim": -128}}, "embed_dim is -128; it must be 1 or more"),
        ({"model": None}, "expected an object"),
        ({"preprocess": {"size": 32}}, "the entry 'mean' is missing"),
        (
            {"preprocess": {"size": 16, "short_side": 16, "mean": [0] * 3, "std": [1] * 3}},
            "makes pictures of 16, and the model takes 32 x 32",
        ),
        ({"format": "other"}, "describes a model of type None"),
    ],
)
def test_configs_that_cannot_be_used(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    crossframe.save(make(), tmp_path)
    edit(tmp_path / "config.json", **change)
    with pytest.raises(WeightsError, match=message) as caught:
        crossframe.load(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value)


def test_other_files_of_weights_beside_our_config(tmp_path: Path) -> None:
    model = make()
    crossframe.save(model, tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert same_weights(crossframe.load(tmp_path / "pytorch_model.bin"), model)


def test_a_device_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = crossframe.save(make(), tmp_path)
    with pytest.raises(WeightsError, match=r"^device is 'gpu'; give cpu, cuda, cuda:1 or mps$"):
        crossframe.load(folder, device="gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(WeightsError, match=r"^device is 'cuda:2', and the last GPU here is cuda:1; give one"):
        crossframe.load(folder, device="cuda:2")


def test_sizes_beyond_all_bounds(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    wide = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, image_size=8 * 10**9))
    edit(tmp_path / "config.json", model=wide.to_dict(), preprocess=None)
    with pytest.raises(WeightsError, match="its config describes a model too large to exist"):
        crossframe.load(tmp_path)


def test_more_layers_than_there_are_tensors_are_not_built(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    deep = replace(XCLIP_CONFIG, vision=replace(XCLIP_CONFIG.vision, layers=10**9))
    edit(tmp_path / "config.json", model=deep.to_dict())
    with pytest.raises(WeightsError, match=r"has \d+ tensors, and its names or its config speak of 1000000005 layers"):
        crossframe.load(tmp_path)


def test_unknown_entries_are_refused_by_name(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values["model"]["vision"]["color"] = "red"
    edit(tmp_path / "config.json", model=values["model"])
    with pytest.raises(WeightsError, match=r"config\.vision has unknown entries \['color'\]"):
        crossframe.load(tmp_path)


def test_weights_that_do_not_fit_the_config(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["mit.position"] = torch.zeros(5, 128)
    state["extra"] = torch.zeros(1)
    del state["logit_scale"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        crossframe.load(tmp_path)
    assert "missing logit_scale; left over extra; mit.position has shape (5, 128)" in str(caught.value)


def test_no_weights_and_no_config(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no weights; expected model\.safetensors"):
        crossframe.load(tmp_path)
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(WeightsError, match=r"config\.json cannot be read as JSON"):
        crossframe.load(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"neither config\.json nor open_clip_config\.json"):
        crossframe.load(tmp_path)


def test_the_default_colors_are_imagenets() -> None:
    assert default_preprocess(XCLIP_CONFIG).mean == IMAGENET_MEAN


def test_the_same_model_is_saved_in_the_same_bytes_by_any_process(tmp_path: Path) -> None:
    model = make()
    model.tokenizer = Tokenizer.train(["red square"], 600, context_length=16)
    crossframe.save(model, tmp_path / "first")
    again = "import sys, crossframe; crossframe.save(crossframe.load(sys.argv[1]), sys.argv[2])"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", again, tmp_path / "first", tmp_path / seed], env=environment, check=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in ("first", "1", "2")}) == 1, name
    with safe_open(tmp_path / "first" / "model.safetensors", "pt") as file:
        assert set(file.metadata()) == {"format", "config.json", "tokenizer.json"}


def test_a_config_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    crossframe.save(make(), tmp_path)
    with (tmp_path / "config.json").open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(WeightsError, match=r"config\.json cannot be read as JSON: it has 1073741824 bytes"):
        crossframe.load(tmp_path)


def test_finite_values_that_no_score_survives(tmp_path: Path) -> None:
    model = make()
    with torch.no_grad():
        model.vision.blocks[0].mlp.fc1.weight[0, 0] = 1e38
    crossframe.save(model, tmp_path)
    with pytest.raises(WeightsError, match=r"values up to 1e\+38, in vision\.blocks\.0\.mlp\.fc1\.weight"):
        crossframe.load(tmp_path)


@pytest.mark.parametrize(("file", "message"), [
    ("adapter_config.json", "an adapter of peft"), ("zero_to_fp32.py", "of DeepSpeed"), (".metadata", "distributed"),
])  # fmt: skip
def test_folders_of_others_are_named(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / file).write_text("{}")
    with pytest.raises(WeightsError, match=message):
        crossframe.load(tmp_path)


def test_a_state_of_accelerate_is_named_and_its_weights_load(tmp_path: Path) -> None:
    model = make()
    holder = torch.nn.ParameterDict({name.replace(".", "/"): t for name, t in published(model).items()})
    accelerator = accelerate.Accelerator(cpu=True)
    accelerator.prepare(holder)
    accelerator.save_state(str(tmp_path))
    weights = {name.replace("/", "."): t for name, t in load_file(tmp_path / "model.safetensors").items()}
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="a state of accelerate, without a config: give the file"):
        crossframe.load(tmp_path)
    assert same_weights(crossframe.load(tmp_path / "model.safetensors"), model)
