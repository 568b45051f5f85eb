"""Questions about the generated world: fair, complete, and counted without favour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.evaluate.shapes import evaluate_shapes, questions, save_summary
from crossframe.shapes.actions import ACTIONS
from crossframe.shapes.caption import sentence
from crossframe.shapes.splits import Split, draw


@pytest.mark.parametrize("split", [Split.TEST, Split.UNSEEN, Split.ZERO_SHOT, Split.FEW_SHOT_TEST])
def test_every_question_has_one_true_sentence_and_no_sentence_twice(split: Split) -> None:
    for index in range(60):
        scene = draw(split, 0, index)
        for question in questions(scene, split):
            assert question.sentences[question.right] == sentence(scene)
            assert len(set(question.sentences.values())) == len(question.sentences) > 1


def test_the_action_is_asked_among_all_that_the_object_could_do() -> None:
    scene = next(scene for i in range(99) if (scene := draw(Split.TEST, 0, i)).target.look.shape == "star")
    asked = {question.kind: question for question in questions(scene, Split.TEST)}
    assert set(asked["action"].sentences) == set(ACTIONS)
    assert (
        len(asked["colour"].sentences) == len(asked["shape"].sentences) + (scene.action.startswith("spinning") * 2) == 8
    )


def test_a_model_that_cannot_decide_is_never_right(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = crossframe.load(tiny_folder)
    monkeypatch.setattr(model, "score", lambda video, text: torch.zeros(1, len(text)))
    summary = evaluate_shapes(model, "test", 44)
    assert (summary["action"], summary["opposite"], summary["colour"], summary["shape"]) == (0, 0, 0, 0)
    assert sum(row["clips"] for row in summary["mistaken"]) <= 44


def test_a_summary_is_the_same_each_time_and_says_what_it_was_made_with(tiny_folder: Path, tmp_path: Path) -> None:
    model = crossframe.load(tiny_folder)
    first, second = (evaluate_shapes(model, "unseen", 22, seed=3) for _ in range(2))
    assert first == second
    assert first["made_with"]["split"] == "unseen"
    assert first["made_with"]["seed"] == 3
    assert 0 <= first["action"] <= 1
    assert json.loads(save_summary(first, tmp_path / "run").read_text()) == first


def test_an_unknown_split_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="tset"):
        evaluate_shapes(crossframe.load(tiny_folder), "tset", 8)
