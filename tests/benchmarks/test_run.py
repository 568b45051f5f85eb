"""The measurements run, and what they say has the form that others read; how fast a tiny model is means nothing."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.cost import encoding_gmacs
from benchmarks.harness import RESULTS, Bar, run
from benchmarks.peers import config_of
from benchmarks.scaling import gmacs


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
