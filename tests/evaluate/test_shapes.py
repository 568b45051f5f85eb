"""Questions about the generated world: fair, complete, and counted without favor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import crossframe
from crossframe.evaluate.shapes import evaluate_shapes, questions
from crossframe.shapes.actions import ACTIONS
from crossframe.shapes.caption import sentence
from crossframe.shapes.splits import Split, draw
from crossframe.taught import Calibration


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
    assert len(asked["color"].sentences) == 10
    assert len(asked["shape"].sentences) == 8 - 2 * scene.action.startswith("spinning")


def test_a_model_that_cannot_decide_is_never_right(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = crossframe.load(tiny_folder)
    monkeypatch.setattr(model, "score", lambda video, text: torch.zeros(1, len(text)))
    summary = evaluate_shapes(model, "test", 44).summary()
    assert (summary["action"], summary["opposite"], summary["color"], summary["shape"]) == (0, 0, 0, 0)
    assert sum(row["clips"] for row in summary["mistaken"]) <= 44


def test_scores_are_those_of_a_calibrated_model(tiny_folder: Path) -> None:
    model = crossframe.load(tiny_folder)
    plain = evaluate_shapes(model, "test", 22)
    model.taught = replace(model.taught, calibration=Calibration(1e6, {}, 0.9, 10))
    calibrated = evaluate_shapes(model, "test", 22)
    assert [result.top[0] for result in calibrated.results] == [result.top[0] for result in plain.results]
    spread = [max(max(r.scores) - min(r.scores) for r in found.results) for found in (plain, calibrated)]
    assert spread[1] < 1e-4 * spread[0]
    assert calibrated.summary()["made_with"]["temperature"] == 1e6


def test_a_summary_is_the_same_each_time_and_says_what_it_was_made_with(tiny_folder: Path, tmp_path: Path) -> None:
    model = crossframe.load(tiny_folder)
    first, second = (evaluate_shapes(model, "unseen", 22, seed=3).summary() for _ in range(2))
    assert first == second
    assert first["made_with"]["split"] == "unseen"
    assert first["made_with"]["seed"] == 3
    assert 0 <= first["action"] <= 1
    evaluate_shapes(model, "unseen", 22, seed=3).save(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == first


def test_the_question_of_the_action_is_an_evaluation_like_any_other(tiny_folder: Path) -> None:
    evaluation = evaluate_shapes(crossframe.load(tiny_folder), "test", 44)
    summary = evaluation.summary()
    assert summary["top1"] == summary["action"]
    assert summary["per_action"] == {row["label"]: row["top1"] for row in summary["per_class"]}
    for index, result in enumerate(evaluation.results):
        scene = draw(Split.TEST, 0, index)
        assert evaluation.labels[result.target] == scene.action
        assert evaluation.names[index] == f"test/{index:06d}.mp4"
        assert sorted(result.scores, reverse=True) == list(result.scores)
        assert result.target_score is not None
        assert result.correct == (result.target_score == result.scores[0])


def test_an_unknown_split_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="tset"):
        evaluate_shapes(crossframe.load(tiny_folder), "tset", 8)


def test_some_actions_can_be_asked_among_themselves(tiny_folder: Path) -> None:
    model, chosen = crossframe.load(tiny_folder), ("blinking", "moving left", "moving right")
    evaluation = evaluate_shapes(model, "test", 9, among=chosen)
    assert evaluation.labels == chosen
    assert evaluation.made_with["actions"] == list(chosen)
    names = dict(zip(evaluation.names, evaluation.results, strict=True))
    everything = evaluate_shapes(model, "test", 22)
    shared = [name for name in everything.names if name in names]
    assert len(shared) == 3
    for name, result in names.items():
        scene = draw(Split.TEST, 0, int(name.split("/")[1].removesuffix(".mp4")))
        assert chosen[result.target] == scene.action
        assert len(result.scores) == 3
    with pytest.raises(ValueError, match="no clip of test shows 'flying'; its actions are moving right, moving left"):
        evaluate_shapes(model, "test", 9, among=["flying"])
