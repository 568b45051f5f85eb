"""What `load` says of names that it does not know, and the names that it knows."""

from __future__ import annotations

from pathlib import Path

import pytest

import crossframe
from crossframe.weights import WeightsError
from tests.weights.small import XCLIP_CONFIG, make


def test_a_typing_error_is_met_with_the_nearest_names() -> None:
    with pytest.raises(WeightsError, match=r"'shape' is no file.*did you mean shapes\?"):
        crossframe.load("shape")
    with pytest.raises(WeightsError, match=r"did you mean microsoft/xclip-base-patch32"):
        crossframe.load("xclip-base-patch32")


def test_a_name_like_nothing_is_met_with_the_list() -> None:
    with pytest.raises(WeightsError, match="`crossframe models` lists the known ones"):
        crossframe.load("qqqqqqqq")


def test_a_published_file_must_be_downloaded_first() -> None:
    with pytest.raises(WeightsError, match="that is a file of the authors: download it and give its path"):
        crossframe.load("k400_16_8.pth")


def test_a_name_that_is_a_path_is_said_to_be_one() -> None:
    with pytest.raises(WeightsError, match="a path was given where the name of a model is a str"):
        crossframe.load(Path("microsoft/xclip-base-patch32"))


def test_a_missing_file_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth' is no file, no folder"):
        crossframe.load(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("path", ["./nowhere", "../nowhere"])
def test_a_path_is_never_looked_for_on_the_hub(path: str) -> None:
    with pytest.raises(WeightsError, match=rf"'{path}' is no file, no folder"):
        crossframe.load(path)


def test_the_bundled_model_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("crossframe.weights.loading.BUNDLED", tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="'shapes' is missing from this installation"):
        crossframe.load("shapes")


def test_the_bundled_model_goes_before_a_folder_of_the_same_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crossframe.save(make(), tmp_path / "bundled")
    monkeypatch.setattr("crossframe.weights.loading.BUNDLED", tmp_path / "bundled")
    (tmp_path / "shapes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert crossframe.load("shapes").config == XCLIP_CONFIG


def test_known_sources_have_no_double() -> None:
    names = [source.name for source in crossframe.list_models()]
    assert len(set(names)) == len(names)
    assert {"shapes", "microsoft/xclip-base-patch32", "k400_16_8.pth", "openai/clip-vit-base-patch16"} <= set(names)
