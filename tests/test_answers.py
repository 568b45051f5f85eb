"""A question is made once; its answers are those of `classify`, whichever videos are encoded together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossframe import Recognizer, read_video
from crossframe.answers import Question, ScoreError, Scoring, as_vector
from crossframe.inference import Inference
from crossframe.model.xclip import XCLIP
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip
from crossframe.text.labels import LabelSet
from crossframe.video.given import VideoError
from tests.model.tiny_families import FAMILIES


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.from_pretrained("shapes", precision="float32", workers=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(draw(Split.TEST, 5, index), folder / f"{index}.mp4") for index in range(2)]


def test_clips_encoded_together_get_the_answers_of_classify(recognizer: Recognizer, clips: list[Path]) -> None:
    labels = ["a circle is pulsing", "a square is moving left"]
    question = recognizer.question(labels, background="generic", threshold=0.4)
    frames = [read_video(path, recognizer.num_frames, **recognizer.view) for path in clips]
    logits = question.logits(recognizer.encode(frames))
    found = [question.answer(each, row) for each, row in zip(frames, logits, strict=True)]
    expected = recognizer.classify(clips, labels, background="generic", threshold=0.4)
    for one, other in zip(found, expected, strict=True):
        assert not isinstance(one, ScoreError)
        assert one.accepted == other.accepted
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-5, atol=1e-6)


def test_numbers_that_are_none_are_errors_of_their_clip(recognizer: Recognizer, clips: list[Path]) -> None:
    frames = read_video(clips[0], recognizer.num_frames, **recognizer.view)
    answer = recognizer.question(["one", "two"]).answer(frames, torch.tensor([1.0, torch.nan]))
    assert isinstance(answer, ScoreError)
    assert "0.mp4: the model's scores are not numbers" in str(answer)
    vector = as_vector(frames, torch.tensor([1.0, torch.inf]))
    assert isinstance(vector, VideoError)
    assert "not of numbers" in str(vector)


def test_similarities_are_cosines_whatever_a_family_adds_to_its_logits() -> None:
    model = XCLIP(FAMILIES["SigLIP"])
    assert model.logit_bias is not None
    labels = LabelSet.of(["one", "two"])
    question = Question(Inference(model, "float32", fast=False), Scoring.of(model, labels), torch.ones(2, 32))
    cosines = torch.tensor([[0.25, -0.5]])
    logits = cosines * model.logit_scale.detach().exp() + model.logit_bias.detach()
    torch.testing.assert_close(question.similarities(logits), cosines)
