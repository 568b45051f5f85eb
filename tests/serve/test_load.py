"""Many clients at once, for twenty seconds; `python -m benchmarks.serve` takes two minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import serve
from benchmarks.harness import Options


@pytest.mark.slow
def test_under_load_nothing_is_lost_wrong_or_left_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(serve, "SECONDS", 20.0)
    result = serve.measure(Options(tiny=False, repeats=1, videos=tmp_path))
    timed = ("refusals", "served / plain loop")
    assert [bar for bar in result.bars if not bar.met and not bar.name.startswith(timed)] == []
    for row, requests in zip((row for row in result.rows if "flood" in row), (256, 512), strict=True):
        assert row["refused"] > 0
        assert row["answered"] + row["refused"] == requests
