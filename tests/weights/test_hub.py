"""Models by name: fetched once, kept, found again offline; and one line when the hub cannot help."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import ViTConfig, ViTModel

import crossframe
from crossframe.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.taught import CLIP, Taught
from crossframe.weights import WeightsError, replace_vision
from crossframe.weights.hub import is_kept
from crossframe.weights.sources import is_hub_id
from tests.weights.hub_server import hub
from tests.weights.small import CLIP_CONFIG, XCLIP_CONFIG, make, published, same_weights

NAME = "someone/small-xclip"


@pytest.fixture
def model() -> XCLIP:
    return make()


@pytest.fixture
def served(model: XCLIP, tmp_path: Path) -> Path:
    return crossframe.save(model, tmp_path / "served", "transformers")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client for this test alone."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def use(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does when it is set before the client is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    use(address, monkeypatch)
    return address


def test_a_model_is_fetched_once_and_found_again_without_the_hub(
    model: XCLIP, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({NAME: served}) as (address, requests):
        use(address, monkeypatch)
        assert not is_kept(NAME)
        assert requests == []
        assert same_weights(crossframe.load(NAME), model)
        assert is_kept(NAME)
        assert sum(request.startswith("GET") for request in requests) > 0
        requests.clear()
        assert same_weights(crossframe.load(NAME), model)
        assert not [request for request in requests if request.startswith("GET")]
        assert len(requests) == 1  # whether main has moved
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same_weights(crossframe.load(NAME), model)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert same_weights(crossframe.load(NAME), model)  # nobody listens there any more


def test_what_a_model_was_taught_comes_from_the_hub_too(
    model: XCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = np.array([(7, 0.0, np.inf), (9, 1.0, 2.0)], CLIP)
    model.taught = Taught(labels=("yoga", "golf"), sampling="time", clips=clips)
    with hub({NAME: crossframe.save(model, tmp_path / "own")}) as (address, _):
        use(address, monkeypatch)
        taught = crossframe.load(NAME).taught
    assert (taught.labels, taught.sampling) == (("yoga", "golf"), "time")
    assert np.array_equal(taught.clips, clips)


def test_revisions(model: XCLIP, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make()
    crossframe.save(other, tmp_path / "v1", "transformers")
    with hub({NAME: served, f"{NAME}@v1": tmp_path / "v1"}) as (address, _):
        use(address, monkeypatch)
        assert same_weights(crossframe.load(f"{NAME}@v1"), other)
        assert same_weights(crossframe.load(f"{NAME}@{'b' * 40}"), other)
        assert same_weights(crossframe.load(NAME), model)
        with pytest.raises(WeightsError, match=r"small-xclip has no revision 'v9'; give a branch, a tag"):
            crossframe.load(f"{NAME}@v9")


def test_folders_of_every_kind(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make()
    crossframe.save(own, tmp_path / "own")
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    (sharded / "config.json").write_bytes((served / "config.json").read_bytes())
    (sharded / "first.bin").write_bytes(b"")
    weights = crossframe.weights.archive.read_tensors(served / "model.safetensors")
    names = sorted(weights)
    for file, part in (("first.bin", names[:50]), ("second.bin", names[50:])):
        torch.save({name: weights[name] for name in part}, sharded / file)
    index = {name: "first.bin" if name in names[:50] else "second.bin" for name in names}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    open_clip = tmp_path / "open_clip"
    open_clip.mkdir()
    towers = {"vision_cfg": {"head_width": 64}, "text_cfg": {"heads": 1}}
    (open_clip / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers}))
    torch.save(published(make(CLIP_CONFIG)), open_clip / "open_clip_pytorch_model.bin")
    with hub({"a/own": tmp_path / "own", "a/sharded": sharded, "a/open": open_clip}) as (address, _):
        use(address, monkeypatch)
        assert same_weights(crossframe.load("a/own"), own)
        assert crossframe.load("a/sharded").config == XCLIP_CONFIG
        assert crossframe.load("a/open").config.vision.activation == "gelu"


def test_the_authors_large_models_get_their_twelve_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(
        XCLIP_CONFIG, mit=replace(XCLIP_CONFIG.mit, heads=8), prompts=replace(XCLIP_CONFIG.prompts, heads=8)
    )
    crossframe.save(make(wrong), tmp_path / "large", "transformers")
    with hub({"microsoft/xclip-large-patch14": tmp_path / "large", "someone/else": tmp_path / "large"}) as (address, _):
        use(address, monkeypatch)
        with caplog.at_level(logging.WARNING):
            config = crossframe.load("microsoft/xclip-large-patch14").config
        assert (config.mit.heads, config.prompts.heads) == (2, 2)
        assert "get the authors' 2 heads, not the 8 of config.json" in caplog.text
        assert crossframe.load("someone/else").config == wrong


def test_a_hub_that_cannot_be_reached(
    dead: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WeightsError) as caught:
        crossframe.load("microsoft/xclip-base-patch32")
    assert capfd.readouterr().err == ""
    assert caplog.text == ""
    message = str(caught.value)
    assert message.startswith(f"microsoft/xclip-base-patch32: {dead} cannot be reached and the cache does not hold")
    assert message.endswith("or 'shapes', the bundled model, which knows only drawn shapes")
    assert "\n" not in message


def test_what_reads_like_a_path_that_is_missing_is_called_so(
    dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=f"^the folder runs has no 'mine', and runs/mine: {dead} cannot be reached"):
        crossframe.load("runs/mine")


def test_a_hub_that_hangs_up_is_asked_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        calls: list[object] = []

        def hang_up() -> None:
            with suppress(OSError):  # the end of the test
                while True:
                    connection, address = listening.accept()
                    calls.append(address)
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        use(f"http://127.0.0.1:{listening.getsockname()[1]}", monkeypatch)
        with pytest.raises(WeightsError, match="cannot be reached"):
            crossframe.load("microsoft/xclip-base-patch32")
        listening.shutdown(socket.SHUT_RDWR)
    assert len(calls) == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache/models"), "Permission denied"),
    ],
)
def test_a_cache_that_cannot_be_written_is_not_taken_for_a_hub_that_is_away(
    served: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with hub({NAME: served}) as (address, _):
        use(address, monkeypatch)
        with pytest.raises(WeightsError, match="cannot be kept in") as raised:
            crossframe.load(NAME)
    assert why in str(raised.value)
    assert str(cache) in str(raised.value)
    assert "reached" not in str(raised.value)


def test_offline_mode(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE is set and the cache does not hold its config\.json"):
        crossframe.load("microsoft/xclip-base-patch32")


def test_names_that_the_hub_does_not_know(served: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with hub({NAME: served, "a/empty": tmp_path / "empty", "a/bert": tmp_path / "bert"}) as (address, requests):
        use(address, monkeypatch)
        with pytest.raises(WeightsError, match=r"no model microsoft/xclip-base-patch23.*did you mean .*-patch32"):
            crossframe.load("microsoft/xclip-base-patch23")
        with pytest.raises(WeightsError, match=r"a/empty on the hub has neither config\.json nor"):
            crossframe.load("a/empty")
        with pytest.raises(WeightsError, match="describes a model of type 'bert'"):
            crossframe.load("a/bert")
        assert not any("model.safetensors" in request for request in requests)
        (served / "model.safetensors").unlink()
        with pytest.raises(WeightsError, match="small-xclip on the hub holds no weights"):
            crossframe.load(NAME)


def test_a_server_that_is_no_hub(monkeypatch: pytest.MonkeyPatch, served: Path) -> None:
    with hub({}) as (address, _):
        use(address + "/elsewhere", monkeypatch)
        with pytest.raises(WeightsError) as caught:
            crossframe.load(NAME)
    assert "\n" not in str(caught.value)


def test_environment_variables_of_the_hubs_client(served: Path, tmp_path: Path) -> None:
    """As a user sets them, in a process of its own."""
    script = f"import crossframe; print(crossframe.load({NAME!r}).config.num_frames)"
    with hub({NAME: served}) as (address, _):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        run = [sys.executable, "-c", script]
        online = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
    assert online.stdout == "4\n", online.stderr
    offline = subprocess.run(
        run, env={**environment, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=120
    )
    assert offline.stdout == "4\n", offline.stderr


def test_image_encoders_come_from_the_hub_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ViTConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    ViTModel(config).save_pretrained(tmp_path / "vit")
    with hub({"someone/vit": tmp_path / "vit"}) as (address, _):
        use(address, monkeypatch)
        assert replace_vision(make(CLIP_CONFIG), "someone/vit").config.vision.heads == 2
        with pytest.raises(WeightsError, match="image encoder without words"):
            crossframe.load("someone/vit")


def test_what_looks_like_a_name_on_the_hub() -> None:
    assert is_hub_id("microsoft/xclip-base-patch32")
    assert is_hub_id("a/b.c@v1.0/x")
    assert not any(map(is_hub_id, ("shapes", "a/b/c", "./a/b", "/a", "a b/c", "")))
    assert huggingface_hub.__version__ >= "0.30"


def test_pictures_come_from_the_hub_too(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = served / "preprocessor_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"image_mean": list(CLIP_MEAN), "image_std": list(CLIP_STD)})
    )
    with hub({NAME: served}) as (address, _):
        use(address, monkeypatch)
        assert crossframe.load(NAME).preprocess == Preprocess(32, 36, CLIP_MEAN, CLIP_STD, antialias=True)
