"""A small part of every torture; the whole is `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture import __main__ as everything
from benchmarks.torture.__main__ import PARTS, main, torture
from benchmarks.torture.report import Options, Row, table

QUICK = ("videos", "special", "parsers", "weights", "numerics", "orders")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in PARTS])
def test_nothing_goes_wrong(name: str) -> None:
    rows = torture([name], fast=True)
    assert all(row.tried for row in rows)
    assert [wrong for row in rows for wrong in row.wrong] == []


def test_what_goes_wrong_is_in_the_table_and_in_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(options: Options) -> list[Row]:
        assert (options.fast, options.few(9, 2)) == (True, 2)
        row = Row("odd things")
        row.check(True, "a fine one")
        row.check(False, "this one hangs")
        return [row]

    monkeypatch.setattr(everything, "PARTS", {"odd": part})
    assert main(["--fast"]) == 1
    assert "this one hangs" in capsys.readouterr().out


def test_the_table_counts(tmp_path: Path) -> None:
    assert Options(False, 0, tmp_path).few(1000, 2) == 1000
    lines = table([Row("a", 1000), Row("bb", 3, ["x", "y", "z", "w"], note="a note")]).splitlines()
    assert lines[1].split() == ["a", "1,000", "0"]
    assert lines[2].split() == ["bb", "3", "4", "a", "note"]
    assert [line.strip() for line in lines[3:]] == ["x", "y", "z"]
