"""The Space in examples/: it recognizes and explains without Gradio, and makes its page with it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

import crossframe
from tests.pages import ROOT

SPACE = ROOT / "examples" / "space"


@pytest.fixture(scope="module")
def app() -> dict[str, Any]:
    return runpy.run_path(str(SPACE / "app.py"))


def test_it_recognizes_and_shows_where(app: dict[str, Any]) -> None:
    clip, labels = app["example"]()
    scores, pictures = app["recognize"](clip, f"{labels}\n\n")
    assert len(scores) == 5
    assert next(iter(scores)) in labels.splitlines()
    assert [picture.shape[-1] for picture in pictures] == [3] * 8


def test_a_mistake_is_a_line(app: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("buy milk")
    for video, labels in ((tmp_path / "no.mp4", "a circle"), (app["example"]()[0], " \n")):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            app["recognize"](str(video), labels)


def test_the_page_is_made_of_gradio(app: dict[str, Any]) -> None:
    pytest.importorskip("gradio", reason="needs Gradio: pip install gradio")
    assert app["page"]() is not None


def test_what_the_space_is_told_fits_its_files() -> None:
    _, head, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(head)
    assert (SPACE / told["app_file"]).is_file()
    assert told["sdk"] == "gradio"
    assert f"./crossframe-{crossframe.__version__}-py3-none-any.whl" in (SPACE / "requirements.txt").read_text()
