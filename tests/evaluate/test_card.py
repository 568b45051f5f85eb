"""The card of a model: what it says of a run and its tests, and what it does not take over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

import crossframe
from crossframe.evaluate.card import model_card
from crossframe.taught import Taught
from crossframe.weights.saving import fingerprint
from tests.cli.conftest import Run, command  # noqa: F401 - a fixture
from tests.weights.small import make


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run as training and evaluation leave it, in what the card reads of it."""
    model = make()
    model.taught = Taught(labels=("arm | wrestling", "<b>"), init="microsoft/xclip-base-patch32")
    folder = tmp_path / "mine"
    crossframe.save(model, folder / "last")
    recipe = {"name": "finetune", "data": {"source": "/home/me/my_clips", "hold_out": 0.2}, "train": {"epochs": 4}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "summary.json").write_text(json.dumps({"steps": 1200, "clips": 40, "seconds": 90.0}))
    measured(folder / "last-test", fingerprint(model))
    measured(folder / "last-test-2", fingerprint(model))  # once more
    measured(folder / "best-test", "of other weights", top1=0.99)
    return folder


def measured(folder: Path, weights: str, top1: float = 0.5) -> None:
    folder.mkdir()
    made = {"weights": weights, "data": "/home/me/my_clips", "split": "val", "sampling": {"views": 1}, "crops": 1}
    scores = {"top1": top1, "top1_interval": [0.25, 0.75], "top5": 1.0, "classes": 2, "videos": 20, "trained_on": 3}
    (folder / "summary.json").write_text(json.dumps(scores | {"made_with": made}))


def test_it_says_what_was_trained_on_what_and_what_came_of_it(run: Path) -> None:
    card = model_card(crossframe.load(run / "last"), run)
    assert (card.data.license, card.data.base_model) == ("mit", "microsoft/xclip-base-patch32")
    (result,) = card.data.eval_results or []
    assert (result.dataset_name, result.metric_value) == ("my_clips, val", 0.5)
    for line in (
        "| my_clips, val | 20 | 50.0% | 25.0% to 75.0% | - | 1 x 1 |",
        "The model was trained on 3 of the clips of my_clips, val.",
        "| recipe | `finetune` |",
        "The 2 it was trained on: arm \\| wrestling, &lt;b>.",
    ):
        assert line in card.text.splitlines(), line
    assert "99" not in card.text  # of other weights
    assert "/home" not in str(card)


def test_scores_of_other_weights_are_refused_and_of_these_taken_from_anywhere(run: Path, tmp_path: Path) -> None:
    model = crossframe.load(run / "last")
    with pytest.raises(ValueError, match="measured other weights than these"):
        model_card(model, run, scores=[run / "best-test"])
    shutil.move(run / "last-test", tmp_path / "elsewhere")
    shutil.rmtree(run / "last-test-2")
    assert "Not measured." in model_card(model, run).text
    assert "25.0% to 75.0%" in model_card(model, run, scores=[tmp_path / "elsewhere"]).text


def test_the_command_writes_it_into_the_checkpoint(run: Path, command: Run) -> None:  # noqa: F811
    outcome = command("card", run / "last", "--name", "me/mine", "--license", "cc-by-4.0")
    assert (outcome.status, outcome.out.strip()) == (0, str(run / "last" / "README.md"))
    card = ModelCard.load(run / "last" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.text.strip().startswith("# me/mine")
    again = command("card", run / "last", "--name", "me/other")
    assert (again.status, ModelCard.load(run / "last" / "README.md").text.strip()[:10]) == (0, "# me/other")
    edited = (run / "last" / "README.md").read_text().replace("# me/other", "# The best of mine")
    (run / "last" / "README.md").write_text(edited)
    outcome = command("card", run / "last")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "README.md was edited by hand; move it away for a new one" in outcome.err
    assert (run / "last" / "README.md").read_text() == edited
    outcome = command("card", run / "last-test")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    outcome = command("card", run.parent)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "give RUN/last or RUN/best" in outcome.err


def test_drawn_clips_have_no_crops_to_tell(run: Path) -> None:
    path = run / "last-test/summary.json"
    summary = json.loads(path.read_text())
    del summary["made_with"]["crops"]
    path.write_text(json.dumps(summary))
    assert "| my_clips, val | 20 | 50.0% | 25.0% to 75.0% | - | 1 x 1 |" in str(
        model_card(crossframe.load(run / "last"), run)
    )
