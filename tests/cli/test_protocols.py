"""`crossframe retrieval`, `crossframe base-to-novel` and `crossframe data captions`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.recipes.load import load_recipe
from crossframe.train.base_novel import base_to_novel
from crossframe.train.run import train
from tests.cli.conftest import Run
from tests.data.dataset import write_numbered


def test_retrieval_writes_both_directions(command: Run, tiny_folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_numbered(tmp_path / f"video{number}.mp4")
    sentences = [{"video_id": f"video{n}", "caption": f"text {n}"} for n in range(3)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"videos": [], "sentences": sentences}))
    listed = tmp_path / "list.csv"
    assert command("data", "captions", "msrvtt", tmp_path, listed).out.startswith("3 videos, 3 captions")
    outcome = command("retrieval", "--model", tiny_folder, "--data", listed, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert "R@10" in outcome.out
    found = json.loads((tmp_path / "run" / "retrieval.json").read_text())
    assert found["text_to_video"]["recall_at_5"] == found["video_to_text"]["recall_at_10"] == 1.0
    again = command("retrieval", "--model", tiny_folder, "--data", listed, "--out", tmp_path / "run")
    assert (again.status, "holds retrieval.json already; give another folder" in again.err) == (1, True)


def test_base_to_novel_trains_on_half_of_the_classes(command: Run, tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for number, label in enumerate(("clapping", "jumping", "waving", "running")):
        for place, split in enumerate(("train", "test")):
            write_numbered(tmp_path / f"{split}{number}.mp4", width=32 + 8 * number + 4 * place)  # no two are alike
            rows.append(f"{split}{number}.mp4,{label},{split}")
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(rows))
    train(load_recipe("shapes", tiny=True), tmp_path / "first")
    recipe = load_recipe("finetune", ("data.shots=1",), tiny=True)
    found = base_to_novel(recipe, str(tmp_path / "first/last"), listed, tmp_path / "run", draws=(0, 1))
    assert [run["draw"] for run in found["draws"]] == [0, 1]
    for run in found["draws"]:
        both = run["base"] + run["novel"]
        assert run["harmonic_mean"] == pytest.approx(2 * run["base"] * run["novel"] / both if both else 0)
    summary = json.loads((tmp_path / "run/draw-0/novel/summary.json").read_text())
    assert (summary["videos"], summary["classes"], summary["trained_on"]) == (2, 2, 0)
    listed.write_text("path,label\ntrain0.mp4,clapping\n")
    refused = command("base-to-novel", "--init", "shapes", "--data", listed, "--out", tmp_path / "no")
    assert refused.status == 1
    assert "needs clips of the splits train and test" in refused.err.splitlines()[-1]  # below what training said
