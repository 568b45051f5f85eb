"""The notebook in examples/ runs from its first cell to its last, and is kept without what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

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
