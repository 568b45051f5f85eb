"""Temperatures and thresholds: against scikit-learn and on clips that they were not fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from crossframe.answers import Scoring
from crossframe.evaluate.calibration import NEVER, Scored, fit, fit_temperature, fit_thresholds, reliability
from crossframe.taught import Calibration
from crossframe.text import Group, LabelSet

LABELS = tuple("abcde")


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose logits are its input."""

    def fit(self, _inputs: object, targets: np.ndarray) -> Given:
        self.classes_ = np.unique(targets)
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.classes_[inputs.argmax(axis=1)]

    def decision_function(self, inputs: np.ndarray) -> np.ndarray:
        return inputs


def drawn(count: int, sharpness: float, *, independent: bool = False, seed: int = 0) -> Scored:
    """Clips whose label is drawn from the softmax of their logits, which are then made too sharp."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=generator, dtype=torch.float64)
    if independent:
        true = torch.rand(count, 5, generator=generator, dtype=torch.float64) < logits.sigmoid()
    else:
        true = torch.nn.functional.one_hot(logits.softmax(1).multinomial(1, generator=generator)[:, 0], 5).bool()
    scoring = Scoring(LabelSet((Group("", LABELS, independent=independent),)), absolute=independent)
    return Scored(scoring, sharpness * logits, true)


def test_the_temperature_is_that_of_scikit_learn() -> None:
    clips = drawn(400, 3.0)
    targets = clips.true.double().argmax(1).numpy()
    known = FrozenEstimator(Given().fit(None, targets))
    theirs = CalibratedClassifierCV(known, method="temperature").fit(clips.logits.numpy(), targets)
    beta = float(theirs.calibrated_classifiers_[0].calibrators[0].beta_)
    assert fit_temperature(clips) == pytest.approx(1 / beta, rel=1e-3)
    assert fit_temperature(clips) == pytest.approx(3.0, rel=0.15)
    assert fit_temperature(drawn(400, 0.5, independent=True)) == pytest.approx(0.5, rel=0.25)


@pytest.mark.parametrize("independent", [False, True])
def test_half_of_the_clips_calibrates_the_other_half(independent: bool) -> None:
    clips = drawn(3000, 3.0, independent=independent)
    places = torch.randperm(3000)
    one, other = clips.half(places[:1500]), clips.half(places[1500:])
    found = fit(one, 0.8)
    before, after = reliability(other, None), reliability(other, found)
    assert after["error"] < before["error"] / 3
    assert after["precision_interval"][1] >= 0.8
    assert 0 < after["accepted"] < after["answers"]
    labels = replace(one.scoring.labels, thresholds=found.thresholds)
    accepted = Scoring(labels, independent, found.temperature).accepted(one.logits[0])
    assert all(
        float(one.scoring(one.logits[0] / found.temperature)[k]) >= found.thresholds[LABELS[k]] for k in accepted
    )


def test_a_rare_label_has_the_threshold_of_all_and_an_unreachable_precision_counts_never() -> None:
    clips = drawn(60, 1.0)
    assert len(set(fit_thresholds(clips, 0.6).values())) < 5
    wrong = replace(clips, true=torch.zeros_like(clips.true))
    assert set(fit_thresholds(wrong, 0.6).values()) == {NEVER}


@pytest.mark.parametrize("change", [{"temperature": 0}, {"thresholds": {"a": 2}}, {"clips": "many"}])
def test_a_config_that_holds_no_calibration_is_refused(change: dict[str, object]) -> None:
    given = {"temperature": 2.0, "thresholds": {"a": 0.5}, "target_precision": 0.9, "clips": 10}
    assert Calibration.from_dict(given).thresholds == {"a": 0.5}
    with pytest.raises(ValueError, match=r"calibration|invalid literal"):
        Calibration.from_dict(given | change)
