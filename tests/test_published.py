"""Hugging Face's habits, on a folder and on a hub of this machine."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

import crossframe
from crossframe.model.xclip import XCLIP
from crossframe.weights import WeightsError
from tests.weights.hub_server import hub
from tests.weights.small import make, same_weights

NAME = "someone/small-xclip"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def use(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (("ENDPOINT", address), ("HUGGINGFACE_CO_URL_TEMPLATE", template)):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def test_a_folder_there_and_back_is_that_of_save_and_load(tmp_path: Path) -> None:
    model = make()
    assert model.save_pretrained(tmp_path / "a") is None
    crossframe.save(model, tmp_path / "b")
    for file in (tmp_path / "b").iterdir():
        assert file.read_bytes() == (tmp_path / "a" / file.name).read_bytes()
    back = XCLIP.from_pretrained(tmp_path / "a", dtype=torch.bfloat16)
    assert back.dtype == torch.bfloat16
    assert same_weights(XCLIP.from_pretrained(str(tmp_path / "a")), model)
    assert not back.training


def test_a_card_that_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    make().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.usefixtures("address")
def test_it_is_pushed_to_the_hub_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, served = make(), tmp_path / "served"
    served.mkdir()
    with hub({NAME: served}) as (address, requests):
        use(address, monkeypatch)
        found = model.push_to_hub(NAME, token="hf_none", model_card_kwargs={"name": NAME, "license": "mit"})
        assert str(found).startswith(f"{address}/{NAME}")
        assert next(line for line in requests if line.startswith("POST")) == "POST /api/repos/create"
        card = ModelCard.load(served / "README.md")
        assert (card.data.library_name, card.data.license) == ("crossframe", "mit")
        assert f'from_pretrained("{NAME}")' in card.text
        assert same_weights(XCLIP.from_pretrained(NAME), model)
        assert same_weights(XCLIP.from_pretrained(NAME, revision="main", cache_dir=tmp_path / "elsewhere"), model)
        assert (tmp_path / "elsewhere").is_dir()
    offline = XCLIP.from_pretrained(NAME, cache_dir=tmp_path / "elsewhere", local_files_only=True)
    assert same_weights(offline, model)
    with pytest.raises(WeightsError, match="the cache does not hold its config"):
        XCLIP.from_pretrained(NAME, cache_dir=tmp_path / "empty", local_files_only=True)


def test_copies_and_pickles_are_as_before(tmp_path: Path) -> None:
    model = make()
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same_weights(other, model)
        assert other.config == model.config


def test_what_is_no_model_is_told_as_load_tells_it() -> None:
    with pytest.raises(WeightsError, match=r"is no file, no folder and no model of the hub"):
        XCLIP.from_pretrained("nothing here")


def test_a_card_in_a_folder_of_ours_is_valid(tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "my-model")
    card = ModelCard.load(tmp_path / "my-model" / "README.md")
    assert card.data.pipeline_tag == "video-classification"
    assert "Not measured." in card.text
    assert json.loads((tmp_path / "my-model" / "config.json").read_text())["format"] == "crossframe"
