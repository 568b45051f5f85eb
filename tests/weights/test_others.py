"""Checkpoints as other people's code makes them, saved by the real libraries beside the same random weights."""

from __future__ import annotations

import argparse
import json
import math
import pickle
import random
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import pytorch_lightning
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from omegaconf import OmegaConf
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import Tensor, nn
from yacs.config import CfgNode

import crossframe
from crossframe.model.config import variant
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.weights import WeightsError
from crossframe.weights.families import VIFI_CLIP
from tests.model.by_rule import read_by_rule, seeded
from tests.weights.files import refused
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> XCLIP:
    return make()


def yacs() -> CfgNode:
    """Frozen, as training code keeps it."""
    config = CfgNode({"DATA": {"ROOT": "", "NUM_FRAMES": 8}, "TRAIN": {"LR": 8e-6}, "BASE": [""]})
    config.freeze()
    return config


def trained_adamw() -> dict[str, Any]:
    parameters = [nn.Parameter(torch.randn(3)) for _ in range(2)]
    optimizer = torch.optim.AdamW(parameters, lr=8e-6)
    torch.stack([p.sum() for p in parameters]).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def steps() -> dict[str, Any]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict()


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


BESIDE: dict[str, Callable[[], Any]] = {
    "yacs": yacs,
    "omegaconf": lambda: OmegaConf.create({"lr": 8e-6, "data": {"x": [1, 2]}}),
    "mmengine": lambda: {"log_scalars": {"loss": HistoryBuffer([0.3], [1], 10)}, "cfg": ConfigDict(a={"b": 1})},
    "numpy": lambda: {"scalar": np.float64(71.2), "array": np.arange(5), "rng": np.random.default_rng(0)},
    "argparse": lambda: argparse.Namespace(out=PurePosixPath("runs/x"), device=torch.device("cuda:0")),
    "collections": lambda: [defaultdict(list, {"loss": [1.0]}), Counter("abc"), {"a", "b"}, frozenset([1])],
    "random": lambda: (random.getstate(), np.random.get_state(), torch.get_rng_state()),
    "scheduler": steps,
    "optimizer": lambda: torch.optim.AdamW([nn.Parameter(torch.ones(2))]),
    "big int": lambda: 2**2100,
    "bytes": lambda: [b"\x00\xff", bytearray(b"abc"), 1 + 2j, ..., slice(3), range(4)],
    "torch": lambda: [torch.Size([3]), torch.float16, torch.float8_e4m3fn, torch.zeros(2).to(torch.float8_e4m3fn)],
    "odd tensors": lambda: [torch.zeros(2, dtype=torch.complex64), torch.eye(2).to_sparse(), torch.zeros(2).to("meta")],
    "module": lambda: nn.Sequential(nn.Linear(2, 2)),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of old"])
@pytest.mark.parametrize("what", BESIDE)
def test_what_is_no_weight_refuses_no_weight(model: XCLIP, tmp_path: Path, what: str, zipped: bool) -> None:
    content = {"epoch": 3, "beside": BESIDE[what](), "model": published(model)}
    torch.save(content, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    assert same_weights(crossframe.load(tmp_path / "weights.pth"), model)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of old"])
def test_every_protocol_of_pickles(model: XCLIP, tmp_path: Path, protocol: int, zipped: bool) -> None:
    content = {"state_dict": OrderedDict(published(model)), "beside": [yacs(), {1, 2}, 2**100, b"\xff", 0.5, "\u03b1"]}
    torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert same_weights(crossframe.load(tmp_path / "a.pth"), model)


class Python2Pickler(pickle.Pickler):
    """Pickles an ordered dict as Python 2 does: a call of its class with a list of pairs."""

    def reducer_override(self, obj: object) -> Any:
        if type(obj) is OrderedDict and obj:
            return OrderedDict, ([[name, value] for name, value in obj.items()],)
        return NotImplemented


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of old"])
def test_ordered_dicts_of_python_2(model: XCLIP, tmp_path: Path, zipped: bool) -> None:
    python2 = type("python2", (), {"Pickler": Python2Pickler, "dump": pickle.dump, "dumps": pickle.dumps})
    content = {"epoch": 3, "state_dict": OrderedDict(prefixed("module.")(published(model)))}
    torch.save(content, tmp_path / "a.pth", pickle_module=python2, _use_new_zipfile_serialization=zipped)
    assert same_weights(crossframe.load(tmp_path / "a.pth"), model)


def test_the_authors_file_gives_the_logits_of_their_model(tmp_path: Path) -> None:
    case = read_by_rule(Path(__file__).parents[1] / "golden")
    content = {
        "model": {f"module.{name}": tensor for name, tensor in case.state_dict.items()},
        "optimizer": trained_adamw(),
        "lr_scheduler": {"base_values": [8e-6], "t_in_epochs": False, "warmup_steps": [1.6e-9], "noise_range_t": None},
        "max_accuracy": 83.8,
        "epoch": 29,
        "config": yacs(),
    }
    torch.save(content, tmp_path / "k400_32_8.pth")
    loaded = crossframe.load(tmp_path / "k400_32_8.pth", dtype=torch.float64)
    with torch.no_grad():
        logits = loaded(case.video, case.tokens)
    expected = torch.tensor(case.expected["logits"], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


@pytest.mark.slow
def test_the_authors_b32_gives_the_logits_of_their_model(tmp_path: Path) -> None:
    """At the size of the published files, whose weights and inputs anyone can draw again from a written rule."""
    known = json.loads((Path(__file__).parents[1] / "golden" / "by_rule_b32.json").read_text())
    with torch.device("meta"):
        names = published(XCLIP(variant("B/32")))
    content = {
        "model": {name: b32_weight(name, tensor.shape) for name, tensor in names.items()},
        "optimizer": trained_adamw(),
        "lr_scheduler": known["lr_scheduler"],
        "max_accuracy": 80.4,
        "epoch": 29,
        "config": yacs(),
    }
    torch.save(content, tmp_path / "k400_32_8.pth")
    model = crossframe.load(tmp_path / "k400_32_8.pth", dtype=torch.float64)
    video = torch.from_numpy(seeded("video").standard_normal((2, 8, 3, 224, 224)))
    tokens = torch.zeros(5, 77, dtype=torch.int64)
    for i, length in enumerate((1, 2, 5, 11, 75)):
        body = seeded(f"label{i}").integers(1, 49406, length)
        tokens[i, : length + 2] = torch.tensor([49406, *body.tolist(), 49407])
    with torch.no_grad():
        logits = model(video, tokens)
    torch.testing.assert_close(logits, torch.tensor(known["logits"], dtype=torch.float64), rtol=0, atol=1e-10)


def b32_weight(name: str, shape: torch.Size) -> Tensor:
    r = torch.from_numpy(seeded(name).standard_normal(tuple(shape) or (1,), dtype=np.float32))
    if name == "logit_scale":
        return torch.tensor(4.6)
    if name.endswith("alpha"):
        return 0.1 + 0.05 * r
    if r.dim() == 1:
        return 1 + 0.2 * r if name.endswith(".weight") else 0.02 * r
    return r * (0.02 if "embedding" in name else 0.7 / math.sqrt(r[0].numel()))


@pytest.mark.parametrize("prefix", [
    "module.", "model.", "_orig_mod.", "module._orig_mod.", "clip.", "clip_model.", "backbone.", "net.student.",
])  # fmt: skip
@pytest.mark.parametrize("key", ["model_state_dict", "net", "module", None])
def test_any_prefix_under_any_key(model: XCLIP, tmp_path: Path, prefix: str, key: str | None) -> None:
    state = prefixed(prefix)(published(model))
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / "weights.pth")
    assert same_weights(crossframe.load(tmp_path / "weights.pth"), model)


@pytest.mark.parametrize("between", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module._orig_mod"])
def test_names_of_wrapped_parts(model: XCLIP, tmp_path: Path, between: str) -> None:
    state = {re.sub(r"visual\.|resblocks\.\d\.", rf"\g<0>{between}.", name): t for name, t in published(model).items()}
    assert any(f".{between}." in name for name in state)
    torch.save({"model": state}, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    assert same_weights(crossframe.load(tmp_path / "a.pth"), model)
    assert same_weights(crossframe.load(tmp_path / "a.safetensors"), model)


def test_stray_tensors_hide_nothing_and_are_named(
    model: XCLIP, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"best_acc1": torch.tensor(71.2), "state_dict": prefixed("module.")(published(model)), "optimizer": {}}
    torch.save(content | {"optimizer": trained_adamw(), "rng_state": torch.get_rng_state()}, tmp_path / "a.pth.tar")
    assert same_weights(crossframe.load(tmp_path / "a.pth.tar"), model)
    assert [record.message for record in caplog.records] == ["left aside, as no part of the model: best_acc1"]


def test_averaged_models(model: XCLIP, tmp_path: Path) -> None:
    holder = nn.ParameterDict({name.replace(".", "/"): nn.Parameter(t) for name, t in published(model).items()})
    averaged = torch.optim.swa_utils.AveragedModel(holder).state_dict()
    state = {name.replace("/", "."): tensor for name, tensor in averaged.items()}
    assert "n_averaged" in state
    torch.save({"model": state}, tmp_path / "averaged.pth")
    assert same_weights(crossframe.load(tmp_path / "averaged.pth"), model)


def test_of_several_one_is_taken_and_the_other_can_be_named(
    model: XCLIP, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = make()
    torch.save({"state_dict": published(model), "state_dict_ema": published(other)}, tmp_path / "two.pth")
    assert same_weights(crossframe.load(tmp_path / "two.pth"), model)
    assert "took those at #state_dict; for another, add #state_dict_ema to the name" in caplog.text
    caplog.clear()
    assert same_weights(crossframe.load(f"{tmp_path}/two.pth#state_dict_ema"), other)
    assert same_weights(crossframe.load(tmp_path / "two.pth#state_dict"), model)
    assert not caplog.records
    with pytest.raises(WeightsError, match=r"no weights at #ema; there are some at #state_dict, #state_dict_ema"):
        crossframe.load(f"{tmp_path}/two.pth#ema")


def test_a_name_with_a_number_sign_is_a_name(model: XCLIP, tmp_path: Path) -> None:
    torch.save(published(model), tmp_path / "run#3.pth")
    assert same_weights(crossframe.load(tmp_path / "run#3.pth"), model)


def test_lightnings_own_checkpoint(model: XCLIP, tmp_path: Path) -> None:
    class Module(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"lr": 1e-5})
            self.weight = nn.Parameter(torch.zeros(1))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

        def training_step(self, batch: Tensor, _: int) -> Tensor:
            return (self.weight * batch).sum()

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["state_dict"] = prefixed("model.")(published(model))

    loader = torch.utils.data.DataLoader(torch.ones(1))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    trainer = pytorch_lightning.Trainer(max_steps=1, default_root_dir=tmp_path, enable_checkpointing=False, **quiet)
    trainer.fit(Module(), loader)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert same_weights(crossframe.load(tmp_path / "a.ckpt"), model)


def test_vifi_clip_takes_its_words_from_the_clip_it_was_trained_from(tmp_path: Path) -> None:
    clip, tuned = make(CLIP_CONFIG), make(CLIP_CONFIG)
    torch.save(published(clip), tmp_path / "ViT.pt")
    state = published(tuned)
    words = state.pop("token_embedding.weight")
    renamed = {
        name: name.replace("visual.", "image_encoder.") if "visual." in name else f"text_encoder.{name}"
        for name in state
        if name != "logit_scale"
    }
    theirs = {renamed.get(name, name): tensor for name, tensor in state.items()}
    theirs["prompt_learner.complete_text_embeddings"] = torch.zeros(3, 16, 64)
    torch.save(
        {"model": prefixed("module.")(theirs), "config": yacs(), "optimizer": trained_adamw()}, tmp_path / "a.pth"
    )
    refused(tmp_path / "a.pth", r"a ViFi-CLIP, .*\.load\(file, base='ViT-B-16\.pt'\)")
    loaded = crossframe.load(tmp_path / "a.pth", base=tmp_path / "ViT.pt")
    assert torch.equal(loaded.text.token_embed.weight, clip.text.token_embed.weight)
    assert not torch.equal(loaded.text.token_embed.weight, words)
    assert torch.equal(loaded.vision.projection, tuned.vision.projection)
    assert torch.equal(loaded.text.blocks[1].mlp.fc2.bias, tuned.text.blocks[1].mlp.fc2.bias)
    assert loaded.preprocess == Preprocess.xclip(32)
    assert VIFI_CLIP.sign in theirs
    with pytest.raises(WeightsError, match="lacks nothing"):
        crossframe.load(tmp_path / "ViT.pt", base=tmp_path / "ViT.pt")


RELATIVES: dict[str, tuple[Callable[[State], Any], str]] = {
    "Open-VCLIP": (lambda s: {"model_state": prefixed("model.")(s), "cfg": "MODEL:\n"}, "Open-VCLIP or FROSTER"),
    "FROSTER": (lambda s: {"m": prefixed("model.")(s) | prefixed("raw_model.")(s)}, "FROSTER: CLIP's names"),
    "ActionCLIP": (
        lambda s: {"model_state_dict": s, "fusion_model_state_dict": {"time.weight": s["ln_final.bias"]}},
        "ActionCLIP or BIKE",
    ),
    "TC-CLIP": (lambda s: s | {"text_encoder.prompt_generation_layer.0.ln_1_kv.bias": s["ln_final.bias"]}, "TC-CLIP"),
    "Vita-CLIP": (lambda s: dict.fromkeys(["visual.time_embed", "visual.cls_token"], s["visual.proj"]), "Vita-CLIP"),
    "EZ-CLIP": (
        lambda s: s | {"visual.transformer.resblocks.0.Adapter.D_fc1.weight": s["visual.proj"]},
        "EZ-CLIP or another CLIP with adapters",
    ),
    "prompted ViFi-CLIP": (lambda s: {"model": s | {"prompt_learner.ctx": s["visual.proj"]}}, "learned prompts"),
    "ResNet": (lambda s: s | {"visual.layer1.0.conv1.weight": s["visual.proj"]}, "is a ResNet"),
}  # fmt: skip


@pytest.mark.parametrize("name", RELATIVES)
def test_relatives_are_named_for_what_they_are(tmp_path: Path, name: str) -> None:
    clip = make(CLIP_CONFIG)
    made, message = RELATIVES[name]
    torch.save(made(published(clip)), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", message)


@pytest.mark.parametrize(("name", "place"), [
    ("Open-VCLIP", "model_state"), ("FROSTER", "m.model"), ("ActionCLIP", "model_state_dict"),
])  # fmt: skip
def test_the_clip_in_a_relative_is_taken_when_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, place: str
) -> None:
    clip = make(CLIP_CONFIG)
    torch.save(RELATIVES[name][0](published(clip)), tmp_path / "a.pth")
    assert same_weights(crossframe.load(f"{tmp_path}/a.pth#{place}"), clip)
    assert "taken as a plain CLIP, and it may be another" in caplog.text


def test_slowfasts_key_alone_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = make(CLIP_CONFIG)
    torch.save({"model_state": published(clip)}, tmp_path / "a.pyth")
    assert same_weights(crossframe.load(tmp_path / "a.pyth"), clip)
    assert "as Open-VCLIP does, whose frames attend to their neighbors" in caplog.text


def test_an_adapter_of_peft_is_no_model(tmp_path: Path) -> None:
    adapted = get_peft_model(make(XCLIP_CONFIG), LoraConfig(target_modules=["fc1"], r=2))
    adapted.save_pretrained(tmp_path / "adapter")
    refused(tmp_path / "adapter" / "adapter_model.safetensors", "an adapter of peft, not a model")
    torch.save(adapted.state_dict(), tmp_path / "whole.pth")
    refused(tmp_path / "whole.pth", "an adapter of peft, not a model")


def test_safetensors_are_searched_alike(model: XCLIP, tmp_path: Path) -> None:
    save_file(prefixed("module.clip.")(published(model)), tmp_path / "a.safetensors")
    assert same_weights(crossframe.load(tmp_path / "a.safetensors"), model)
