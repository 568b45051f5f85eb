"""The measurements run, and what they say has the form that others read; how fast a tiny model is means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks import harness
from benchmarks.__main__ import NAMES
from benchmarks.cost import encoding_gmacs
from benchmarks.harness import RESULTS, Bar, run
from benchmarks.peers import config_of
from benchmarks.scaling import gmacs
from benchmarks.study import keep, options, parsed
from benchmarks.tables import PAGES, STUDY_PAGES, filled, with_studies
from crossframe.shapes import VERSION


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_run_ends_in_one_json_object(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(name, import_module(f"benchmarks.{name}").measure, ["--tiny", "--videos", str(tmp_path)])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["benchmark"] == name
    assert found["bars"]
    assert all(bar.keys() == {"name", "value", "bar", "at_most", "met"} for bar in found["bars"])
    assert {"date", "commit", "cpu", "cores"} <= found["environment"].keys()
    wrong = [bar["name"] for bar in found["bars"] if _is_about_results(bar["name"]) and not bar["met"]]
    assert not wrong  # however small: what is compared must agree


def _is_about_results(name: str) -> bool:
    return any(word in name for word in ("error over the spread", "best label", "bit-identical", "gradient apart"))


@pytest.mark.parametrize(("value", "at_most", "met"), [(2.0, False, True), (0.5, False, False), (0.5, True, True)])
def test_a_bar_is_met_on_its_own_side(value: float, at_most: bool, met: bool) -> None:
    assert Bar("x", value, 1.0, at_most).met is met
    assert Bar("x", None, 1.0, at_most).met is None


@pytest.mark.parametrize(("variant", "frames"), [("B/32", 8), ("B/16", 16), ("L/14", 8)])
def test_the_formula_counts_what_the_counter_counts(variant: str, frames: int) -> None:
    assert gmacs(config_of(variant, frames, False), frames) == pytest.approx(encoding_gmacs(variant, frames), rel=2e-3)


def test_published_results_are_complete_runs() -> None:
    published = [path for path in RESULTS.glob("*.json") if path.stem in NAMES]
    assert published
    for path in published:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["benchmark"] == path.stem
        assert not found["tiny"]
        assert found["environment"]["commit"]


def test_the_tables_of_the_docs_are_those_of_the_results() -> None:
    for page in (*PAGES, *STUDY_PAGES):
        text = page.read_text(encoding="utf-8")
        assert filled(text) == text, "python -m benchmarks.tables writes them"
    assert filled("<!-- table: start command, seconds -->\n| old |\nText").splitlines()[1] == "| command | seconds |"


def test_the_tables_of_studies_are_those_of_their_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in STUDY_PAGES:
        text = page.read_text(encoding="utf-8")
        assert with_studies(text) == text, "python -m benchmarks.tables writes them"
    monkeypatch.setattr("benchmarks.study.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.tables.RESULTS", tmp_path)
    monkeypatch.setattr(harness, "_git", lambda *arguments: "" if "status" in arguments else "abc")
    one, other = "<!-- study: one / some / variant / a = first; b -->\n", "<!-- study: other / some / what / a -->\n"
    text = f"{one}*old*\n\n| old |\n|---|\n\nWords\n\n{other}Words\n"
    absent = f"{one}*Not measured yet (one.json).*\n\nWords\n\n"
    assert with_studies(text) == f"{absent}{other}*Not measured yet (other.json).*\nWords\n"
    arguments = parsed(options("words"), ["--save"])
    keep("one", {"some": {"x": [{"a": 0.25, "b": 0.5}, {"a": 0.75, "b": 0.5}], "y": [{"b": 1.0}]}}, arguments)
    found = with_studies(text)
    rows = ["| variant | first | b |", "|---|---|---|", "| x | .500 ± .354 | .500 ± .000 |", "| y | | 1.000 |"]
    assert found.startswith(
        "\n".join([f"{one}*Shapes world {VERSION}, commit abc, one.json.*", "", *rows, "", "Words"])
    )
    assert with_studies(found) == found


def test_what_is_saved_belongs_to_a_commit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        harness, "_git", lambda *arguments: " M src/crossframe/engine.py" if "status" in arguments else "abc"
    )
    for arguments in (["--save"], ["--save", "--tiny"], ["--repeats", "0"], ["--tinny"]):
        with pytest.raises(SystemExit) as stopped:
            harness.parse("python -m benchmarks", arguments)
        assert stopped.value.code == 2
    assert "src/crossframe/engine.py): commit them first" in capsys.readouterr().err
    assert harness.environment()["commit"] == "abc-dirty"


def test_one_failure_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        ran.append(command[2])
        return subprocess.CompletedProcess(command, int(command[2] == "benchmarks.decode"))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--tiny"])
    with pytest.raises(SystemExit, match="failed: decode"):
        everything.main()
    assert ran == [f"benchmarks.{name}" for name in NAMES]
