from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crossframe.shapes import caption, splits
from crossframe.shapes.actions import ACTIONS
from crossframe.shapes.draw import sample_scene
from crossframe.shapes.looks import Look
from crossframe.shapes.render import sparse_times
from crossframe.shapes.splits import Split


@pytest.fixture(scope="module")
def words() -> set[str]:
    return {word for text in caption.corpus() for word in text.split()}


@pytest.mark.parametrize("split", list(Split))
def test_captions_use_the_words_of_the_corpus(split: Split, words: set[str]) -> None:
    rng = np.random.default_rng(0)
    for index in range(120):
        scene = splits.draw(split, 1, index)
        texts = [caption.sentence(scene), caption.clip_caption(scene, rng), *caption.all_sentences(scene).values()]
        texts += [caption.frame_caption(scene, moment, rng) for moment in sparse_times(2)]
        assert {word for text in texts for word in text.split()} <= words


def test_composites_use_words_that_training_shows() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for index in range(600):
        scene = splits.draw(Split.TRAIN, 0, index)
        still = splits.draw(Split.STILLS, 0, index)
        seen |= {*caption.clip_caption(scene, rng).split(), *caption.frame_caption(still, 0.5, rng).split()}
    for action in splits.split_actions(Split.ZERO_SHOT):
        assert set(action.split()) <= seen


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("moving left", "an orange star moving left"),
        ("turning", "an orange star turning blue"),
        ("following", "an orange star following a green heart"),
        ("moving left and growing", "an orange star moving left and growing"),
    ],
)
def test_sentences(action: str, sentence: str) -> None:
    scene = sample_scene(np.random.default_rng(0), action=action, look=Look("orange", "star"))
    assert caption.sentence(replace(scene, partner=Look("green", "heart"), new_color="blue")) == sentence


def test_one_sentence_for_each_possible_action() -> None:
    scene = sample_scene(np.random.default_rng(0), action="growing", look=Look("red", "star"))
    sentences = caption.all_sentences(scene)
    assert list(sentences) == list(ACTIONS)
    assert len(set(sentences.values())) == len(ACTIONS)
    assert sentences["growing"] == caption.sentence(scene)
    ring = sample_scene(np.random.default_rng(0), action="growing", look=Look("red", "ring"))
    assert set(sentences) - set(caption.all_sentences(ring)) == {"spinning clockwise", "spinning anticlockwise"}


def test_frames_are_described_as_they_are_at_their_moment() -> None:
    scene = sample_scene(np.random.default_rng(1), action="moving right", look=Look("red", "star"), size="large")
    (motion,) = scene.target.motions
    motion = replace(motion, amount=0.8, direction=0.0, start=0.0, stop=1.0)
    scene = replace(scene, target=replace(scene.target, x=0.5, y=0.1, size=0.4, motions=(motion,)))
    captions = [caption.frame_caption(scene, moment) for moment in (0.0, 0.5, 1.0)]
    assert captions == [
        "a large red star in the top left",
        "a large red star at the top",
        "a large red star in the top right",
    ]
    backwards = [caption.frame_caption(replace(scene, backwards=True), moment) for moment in (0.0, 0.5, 1.0)]
    assert backwards == captions[::-1]


def test_frames_before_something_appears_hold_nothing() -> None:
    scene = sample_scene(np.random.default_rng(0), action="appearing")
    assert caption.frame_caption(scene, 0.0) == caption.NOTHING
    assert str(scene.target.look) in caption.frame_caption(scene, 1.0).replace("small ", "")


def test_a_thing_that_turned_has_its_new_color() -> None:
    scene = sample_scene(np.random.default_rng(0), action="turning", look=Look("red", "star"))
    assert "red star" in caption.frame_caption(scene, 0.0)
    assert f"{scene.new_color} star" in caption.frame_caption(scene, 1.0)


def test_two_things_are_both_described() -> None:
    scene = sample_scene(np.random.default_rng(0), action="approaching")
    text = caption.frame_caption(scene, 0.5)
    assert str(scene.target.look) in text
    assert str(scene.partner) in text
