"""Which clips to label next, and which labels are likely wrong."""

from __future__ import annotations

import numpy as np
import pytest

from crossframe.archive.choosing import choose, doubts, fit, learned, margins, probabilities, spread

RANDOM = np.random.default_rng(3)


def groups(each: int, classes: int = 4, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a middle for each class, and their classes."""
    middles = np.random.default_rng(0).standard_normal((classes, width))
    targets = np.repeat(np.arange(classes), each)
    vectors = middles[targets] + 0.5 * RANDOM.standard_normal((len(targets), width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), targets


def test_each_chosen_clip_is_the_farthest_from_all_before() -> None:
    vectors, _ = groups(10)
    given = vectors[:3]
    chosen = spread(vectors[3:], 5, given)
    have = given
    for place in chosen:
        nearest = (vectors[3:] @ have.T).max(axis=1)
        assert nearest[place] == pytest.approx(nearest.min())
        have = np.vstack([have, vectors[3 + place]])
    assert sorted(spread(vectors, 100, vectors[:0])) == list(range(40))
    assert spread(vectors, 1, vectors[:0]) == [int((vectors @ vectors.mean(axis=0)).argmax())]


def test_clips_whose_two_best_labels_are_close_are_doubtful() -> None:
    logits = np.array([[5.0, 0, 0], [1.0, 0.9, 0], [0, 3.0, 2.0]], np.float32)
    scores = probabilities(logits)
    assert margins(scores).argsort().tolist() == [1, 2, 0]
    vectors = np.eye(3, dtype=np.float32)
    assert choose(vectors, scores, vectors[:0], 2, "margin") == [1, 2]
    assert margins(scores[:, :1]).tolist() == [1.0, 1.0, 1.0]


def test_a_classifier_learns_what_the_model_does_not_know() -> None:
    vectors, targets = groups(30)
    nothing = np.zeros((len(targets), 4), np.float32)
    seen = RANDOM.permutation(len(targets))[:40]
    weights = fit(vectors[seen], targets[seen].tolist(), nothing[seen])
    assert (learned(vectors, nothing, weights).argmax(axis=1) == targets).mean() > 0.9
    known = 50 * np.eye(4, dtype=np.float32)[targets]  # the model knows all: nothing is left to learn
    weights = fit(vectors[seen], targets[seen].tolist(), known[seen])
    assert np.allclose(learned(vectors, known, weights), known, atol=1e-3)


@pytest.mark.parametrize("known", [0.0, 8.0])
def test_exchanged_labels_are_doubted_most(known: float) -> None:
    vectors, targets = groups(30)
    logits = known * np.eye(4, dtype=np.float32)[targets]
    given = targets.copy()
    wrong = [3, 50, 75, 119]
    given[wrong] = (given[wrong] + 1) % 4
    doubt, _ = doubts(vectors, given.tolist(), logits)
    assert sorted(doubt.argsort()[-4:].tolist()) == wrong
    few = [0, 30, 60, 90, 3]  # of which nothing can be learned
    doubt, found = doubts(vectors[few], given[few].tolist(), logits[few])
    assert np.array_equal(found, logits[few])
