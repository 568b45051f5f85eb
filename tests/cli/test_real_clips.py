"""Every command about scores on films that nobody rendered, and on their list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_commands_about_scores_run_on_real_clips(shared: Path, command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    listed = shared / "clips" / "clips.csv"
    if not listed.is_file():
        pytest.skip("the real clips with labels are not there")
    groups = ROOT / "examples" / "at-home.yaml"
    named = command("classify", listed.parent, "--labels", groups, "--model", tiny_folder, "--json")
    records = [json.loads(line) for line in named.out.splitlines()]
    assert (named.status, len(records)) == (0, 19)
    assert all({"accepted", "none"} <= record.keys() for record in records)

    (tmp_path / "known.txt").write_text("juggling soccer ball\njumping on a bed\ntraining a dog\n")
    asked = ("--candidates", tmp_path / "known.txt", "--background", "generic", "--probe", "shuffle,reverse,one-frame")
    given = ("evaluate", "finetune", "--model", tiny_folder, "--data", listed, "--set", "train.workers=0")
    outcome = command(*given, *asked, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["videos"], summary["open_set"]["unknown"], summary["unreadable"]) == (3, 16, 0)
    assert set(summary["probes"]) == {"shuffle", "reverse", "one-frame"}

    outcome = command("calibrate", "--model", tiny_folder, "--data", listed, "--out", tmp_path / "model")
    assert outcome.status == 0, outcome.err
    outcome = command("retrieval", "--model", tmp_path / "model", "--data", listed, "--out", tmp_path / "found")
    assert outcome.status == 0, outcome.err
    assert json.loads((tmp_path / "found" / "retrieval.json").read_text())["videos"] == 19
    refused = command("base-to-novel", "--init", tiny_folder, "--data", listed, "--out", tmp_path / "novel")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "needs clips of the splits train and test" in refused.err
