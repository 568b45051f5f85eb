"""The list of planted faults is that of this source, and what notices a fault is told from what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutants import Fault, Trees, listed
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
