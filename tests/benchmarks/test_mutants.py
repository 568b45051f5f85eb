"""The list of planted faults is that of this source, and what notices a fault is told from what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.mutants import Fault, Trees, listed, with_known_first
from tests.pages import ROOT

SOURCE = ROOT / "src" / "crossframe"


def test_every_listed_fault_can_be_planted_and_some_test_should_notice_it() -> None:
    faults = listed()
    assert len(faults) >= 61
    assert len({(fault.file, fault.old) for fault in faults}) == len(faults)
    for fault in faults:
        fault.planted((SOURCE / fault.file).read_text(encoding="utf-8"))
        assert all((ROOT / test).is_file() for test in fault.tests)


def test_a_fault_that_is_not_in_the_source_once_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' is there 2 times"):
        Fault("a.py", "x", "y", ()).planted("x = x\n")


def test_what_a_test_notices_is_told_from_what_it_does_not(tmp_path: Path) -> None:
    trees = Trees(tmp_path, 1)
    tests = ("tests/text/test_labels.py",)
    assert trees.failing(tests) is None
    fault = Fault("text/labels.py", "len(after) == 2 and after.islower()", "after[:1].islower()", tests)
    assert str(trees.noticed(fault)).startswith("tests/text/test_labels.py::test_")
    assert trees.noticed(Fault("text/labels.py", "maxsize=1 << 14", "maxsize=1 << 13", tests)) is None
    assert trees.failing(tests) is None  # the source is as it was


def test_what_noticed_a_fault_is_tried_first_where_it_still_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Fault("a.py", old, "y", ("tests/test_files.py",)) for old in "ab")
    here = "tests/benchmarks/test_mutants.py::test_what_noticed_a_fault_is_tried_first_where_it_still_is"
    noticed = {first.name: f"{here}[some case]", second.name: "tests/test_files.py::test_that_is_gone"}
    monkeypatch.setattr("benchmarks.mutants.SAVED", tmp_path / "mutants.json")
    assert with_known_first([first, second]) == [first, second]
    (tmp_path / "mutants.json").write_text(json.dumps({"noticed by": noticed}), encoding="utf-8")
    assert [fault.tests for fault in with_known_first([first, second])] == [(here, *first.tests), second.tests]
