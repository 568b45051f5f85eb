"""The notebook in examples/ runs from its first cell to its last, and is kept without what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from crossframe import pages
from tests.browser import CHROMIUM, opened
from tests.pages import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_and_shows_what_it_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    shown = [output for cell in code for output in cell.outputs]
    pages = [output.data["text/html"] for output in shown if "text/html" in output.get("data", {})]
    printed = "".join(output.text for output in shown if output.output_type == "stream" and output.name == "stdout")
    assert "data:image" in pages[0]  # the film strip
    assert "<table" in pages[1]
    assert pages[2].count("data:image") == 8  # the frames, colored
    assert "evidence: [" in printed
    assert re.search(r"^0\.0 s to 1\.0 s: .*, \d+%$", printed, re.M)
    assert "missing.mp4: does not exist" in printed
    assert " right, among " in printed


def test_there_is_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["recognize"]


# What notebooks do to tables.
THEIRS = "<style>.rendered td { text-align: right; white-space: normal }</style>"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_prediction_reads_well_among_the_styles_of_a_notebook(tmp_path: Path, width: int) -> None:
    label = "a label that is long enough to be broken into two lines on any phone that shows it"
    pixels = torch.zeros(8, 3, 40, 40, dtype=torch.uint8)
    clip = pages.Clip("clip.mp4", [(label, 0.368), ("b", 0.004)], pictures=pages.strip(pixels), none=True)
    html = f'{THEIRS}<div class="rendered">{pages.render("notebook", each=clip)}</div>'
    phone = '<meta name="viewport" content="width=device-width">'
    (tmp_path / "a.html").write_text(f"<!doctype html>{phone}{html}", encoding="utf-8")
    with opened(tmp_path / "a.html", tmp_path / "profile", width=width) as page:
        assert page.errors == []
        assert page.ask("document.documentElement.scrollWidth") <= width
        assert page.ask("document.querySelector('td').textContent") == "none of these"
        bars = page.ask("[...document.querySelectorAll('.bar')].map(bar => bar.getBoundingClientRect().left)")
        assert bars[0] == bars[1]  # all begin in one place
        heights = page.ask("[...document.querySelectorAll('tr')].map(row => row.getBoundingClientRect().height)")
        assert heights[2] == heights[0]  # number and sign share a line
