"""Scores that one can act on: groups, a background, thresholds, none of these."""

from __future__ import annotations

import pytest
import torch

from crossframe.answers import Scoring
from crossframe.recognizer import Recognizer
from crossframe.text import GENERIC, Group, LabelSet
from crossframe.weights import load

LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, 1.5])  # three labels, two words of the background


def test_the_background_takes_part_in_the_softmax_and_is_not_shown() -> None:
    scoring = Scoring(LabelSet.of(["a", "b", "c"], ["else", "more"]))
    torch.testing.assert_close(scoring(LOGITS), LOGITS.softmax(0)[:3])
    assert scoring.accepted(LOGITS) == (0,)
    assert scoring.accepted(LOGITS - torch.tensor([1.0, 0, 0, 0, 0])) == ()  # a word of the background fits better


def test_a_threshold_makes_none_of_the_answer_and_temperature_moves_scores() -> None:
    alone = LOGITS[:3]
    for threshold, found in ((0.5, (0,)), (0.9, ())):
        assert Scoring(LabelSet.of(["a", "b", "c"], threshold=threshold)).accepted(alone) == found
    warm = Scoring(LabelSet.of(["a", "b", "c"]), temperature=2.0)
    torch.testing.assert_close(warm(alone), (alone / 2).softmax(0))
    assert warm.accepted(alone) == (0,)


def test_groups_share_among_themselves_and_independent_labels_do_not_share() -> None:
    labels = LabelSet((Group("one", ("a", "b")), Group("many", ("c", "d"), independent=True)), background=("else",))
    scores = Scoring(labels)(LOGITS)
    torch.testing.assert_close(scores[:2], LOGITS[[0, 1, 4]].softmax(0)[:2])
    torch.testing.assert_close(scores[2:], (LOGITS[2:4] - LOGITS[4]).sigmoid())
    absolute = Scoring(labels, absolute=True)
    torch.testing.assert_close(absolute(LOGITS)[2:], LOGITS[2:4].sigmoid())
    assert absolute.accepted(LOGITS) == (2, 0)
    assert labels.group_names == ("one", "one", "many", "many")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelSet((Group("x", ("a",)), Group("y", ("b", "a")))), "'a' is in two groups, 'x' and 'y'"),
        (lambda: LabelSet((Group("", ("a",)),), thresholds={"b": 0.5}), "'b' has a threshold and is not among"),
        (lambda: LabelSet((Group("", ("a",)),), wordings={"b": ("c",)}), "'b' has wordings and is not among"),
        (lambda: LabelSet.of(["a"], threshold=1.5), "the threshold of 'a' is 1.5"),
        (lambda: LabelSet.of(["a"], ["A"]), "'A' is a label and in the background"),
    ],
)
def test_what_makes_no_sense_is_one_line(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_a_recognizer_says_none_and_takes_wordings(tiny_folder: object) -> None:
    recognizer = Recognizer(load(tiny_folder))  # type: ignore[arg-type]
    clip = torch.randint(256, (6, 3, 40, 40), dtype=torch.uint8)
    names = ["arm wrestling", "golf"]
    plain = recognizer.classify(clip, names)
    assert (plain.accepted, plain.none, plain.counted) == ((plain.label,), False, None)
    strict = recognizer.classify(clip, names, background="generic", threshold=1.0)
    assert (strict.accepted, strict.none) == ((), True)
    assert repr(strict).startswith("Prediction('<array>': none of ")
    assert float(strict.scores.sum()) < 1
    assert strict.similarities is not None
    assert plain.similarities is not None
    torch.testing.assert_close(strict.similarities, plain.similarities)
    said = LabelSet((Group("", ("x", "golf")),), wordings={"x": ("arm wrestling",)})
    torch.testing.assert_close(recognizer.classify(clip, said).scores, plain.scores)
    several = recognizer.classify(clip, LabelSet((Group("", tuple(names), independent=True),)))
    alone = recognizer.classify(clip, LabelSet((Group("", ("golf",), independent=True),), background=GENERIC))
    torch.testing.assert_close(several.scores[1:], alone.scores)
    with pytest.raises(ValueError, match="a background and thresholds of its own"):
        recognizer.classify(clip, said, threshold=0.5)


def test_log_odds_are_those_of_the_score_and_without_rivals_the_logit() -> None:
    groups = (Group("one", ("a", "b")), Group("many", ("c",), independent=True))
    for background, absolute, temperature in ((("else", "more"), False, 2.0), (("else", "more"), True, 1.0)):
        scoring = Scoring(LabelSet(groups, background=background), absolute, temperature)
        scores = scoring(LOGITS)
        for place in range(3):
            torch.testing.assert_close(scoring.log_odds(LOGITS, place), scores[place].logit())
    assert Scoring(LabelSet.of(["a"])).log_odds(LOGITS[:1], 0) == 2.0
