"""Scores that mean what they say: a temperature, and for each label the score from which it is right often enough.

One number that divides all logits is the best known cure for a softmax that is surer than it is right (Guo et al.,
2017), and changes no answer. It is fitted by torch's L-BFGS; a package for calibration would bring a probabilistic
programming language for this one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe import pages
from crossframe.answers import Scoring
from crossframe.data.batch import Batch
from crossframe.data.loader import EvalLoader
from crossframe.data.manifest import Manifest
from crossframe.data.reader import Sampling
from crossframe.evaluate.statistics import Group, calibration, calibration_error, interval
from crossframe.files import write_json, write_text
from crossframe.inference import Inference, evaluating
from crossframe.model.xclip import XCLIP
from crossframe.taught import Calibration

ENOUGH = 20  # answers of one label, from which it gets a threshold of its own and not that of its group
NEVER = 1.0  # the threshold where no score is right often enough
REPORT = "calibration"
LEAST = 2  # clips that a temperature can be fitted on


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Logits (N, K + background) of N clips by a scoring that is not calibrated, and which of K labels are `true`,
    bool (N, K)."""

    scoring: Scoring
    logits: Tensor
    true: Tensor

    def half(self, places: Tensor) -> Scored:
        """Some of the clips."""
        return replace(self, logits=self.logits[places], true=self.true[places])


def score_clips(
    model: XCLIP,
    manifest: Manifest,
    scoring: Scoring,
    text: Tensor | None,
    sampling: Sampling,
    workers: int = 0,
    watch: Callable[[EvalLoader], Iterable[Batch]] = iter,
) -> Scored:
    """The logits of all clips that can be read, of one center view, as `classify` looks at them."""
    loader = EvalLoader(manifest, sampling, 8, short_side=model.preprocess.short_side, workers=workers)
    rows: list[Tensor] = []
    places: list[int] = []
    with evaluating(model):
        inference = Inference(model, fast=False)
        for batch in watch(loader):
            if len(batch):
                rows.append(inference.score(inference.encode(list(batch.videos)), text))
                places += batch.indices.tolist()
    if len(places) < LEAST:
        raise ValueError(f"{len(places)} of {len(manifest)} clips can be read, too few to calibrate on")
    column = {label: place for place, label in enumerate(scoring.labels.labels)}
    true = torch.zeros(len(places), len(column), dtype=torch.bool)
    for row, place in zip(true, places, strict=True):
        row[[column[label] for label in manifest.clips[place].labels if label in column]] = True
    return Scored(replace(scoring, temperature=1.0), torch.cat(rows).double(), true)


def fit(clips: Scored, target_precision: float, data: str = "") -> Calibration:
    """The temperature and the thresholds of these clips."""
    warm = replace(clips.scoring, temperature=fit_temperature(clips))
    thresholds = fit_thresholds(replace(clips, scoring=warm), target_precision)
    return Calibration(warm.temperature, thresholds, target_precision, len(clips.logits), data)


def fit_temperature(clips: Scored) -> float:
    """The temperature of the least cross-entropy of what is true; of independent scores, of both outcomes."""
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithm], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = _cross_entropy(clips, logarithm.exp())
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return float(logarithm.detach().clamp(-7, 7).exp())


def _cross_entropy(clips: Scored, temperature: Tensor) -> Tensor:
    scores = Scoring(clips.scoring.labels, clips.scoring.absolute)(clips.logits / temperature)
    total = scores.new_zeros(())
    for group, columns in _groups(clips.scoring):
        part, true = scores[:, columns].clamp(1e-12, 1 - 1e-12), clips.true[:, columns]
        if group.independent:
            total = total + F.binary_cross_entropy(part, true.double(), reduction="sum")
        else:
            total = total - part[true].log().sum()
    return total / len(clips.logits)


def fit_thresholds(clips: Scored, target: float) -> dict[str, float]:
    """For each label the lowest score from which `target` of the answers are right.

    A label with fewer than `ENOUGH` answers gets that of its group. Where no score is right often enough, the label
    never counts.
    """
    scores = clips.scoring(clips.logits)
    found: dict[str, float] = {}
    for group, columns in _groups(clips.scoring):
        part, true = scores[:, columns], clips.true[:, columns]
        given = torch.ones_like(true) if group.independent else F.one_hot(part.argmax(dim=1), part.shape[1]).bool()
        shared = _threshold(part[given], true[given], target)
        for place, label in enumerate(group.labels):
            own = given[:, place]
            enough = int(own.sum()) >= ENOUGH and bool(true[own, place].any())
            found[label] = _threshold(part[own, place], true[own, place], target) if enough else shared
    return found


def _threshold(scores: Tensor, right: Tensor, target: float) -> float:
    """float (A,), bool (A,) of A answers -> the lowest score from which `target` of them are right."""
    if not len(scores):
        return NEVER
    order = scores.argsort(descending=True)
    ordered, hits = scores[order], right[order].double().cumsum(0)
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])  # of equal scores all are taken
    precise = (hits / torch.arange(1, len(hits) + 1) >= target) & last
    return float(ordered[precise][-1]) if precise.any() else NEVER


def _groups(scoring: Scoring) -> Iterator[tuple[Any, slice]]:
    start = 0
    for group in scoring.labels.groups:
        yield group, slice(start, start + len(group.labels))
        start += len(group.labels)


def reliability(clips: Scored, found: Calibration | None) -> dict[str, Any]:
    """The expected calibration error, with its bins, and what the thresholds do: how many answers are accepted and how
    many of these are right, with the 95% interval. Of independent scores, each label of each clip is an answer."""
    labels = clips.scoring.labels
    scoring = clips.scoring
    if found is not None:
        scoring = replace(scoring, labels=replace(labels, thresholds=found.thresholds), temperature=found.temperature)
    scores = scoring(clips.logits)
    confidence: list[Tensor] = []
    right: list[Tensor] = []
    accepted: list[Tensor] = []
    for group, columns in _groups(scoring):
        part, true = scores[:, columns], clips.true[:, columns]
        given = torch.ones_like(true) if group.independent else F.one_hot(part.argmax(dim=1), part.shape[1]).bool()
        limits = torch.tensor([scoring.labels.thresholds.get(label, 0.0) for label in group.labels]).double()
        confidence.append(part[given])
        right.append(true[given])
        accepted.append(((part >= limits) & (limits < NEVER))[given])
    hits, taken = torch.cat(right), torch.cat(accepted)
    bins = calibration(torch.cat(confidence), hits)
    passed: list[Group] = [(int(hit), 1) for hit in hits[taken].tolist()]
    return {
        "error": calibration_error(bins),
        "answers": len(hits),
        "accepted": len(passed),
        "precision": float(hits[taken].double().mean()) if passed else None,
        "precision_interval": list(interval(passed)) if passed else None,
        "bins": [asdict(part) for part in bins],
    }


def write_calibration(folder: Path, clips: Scored, found: Calibration) -> Path:
    """Write `calibration.json` and the page about it, and return the page's path."""
    parts = {"before": reliability(clips, None), "after": reliability(clips, found)}
    write_json(folder / f"{REPORT}.json", {**asdict(found), **parts})
    page = pages.render(
        "calibration",
        title="Do its scores mean what they say?",
        lead=f"Temperature {found.temperature:.3g}, fitted on {found.clips:,} clips of {found.data or 'a list'}. "
        "The same clips are shown, so new ones will fit less well.",
        parts=[(name, part, _shares(part["bins"])) for name, part in parts.items()],
        target=found.target_precision,
        thresholds=sorted(found.thresholds.items(), key=lambda pair: -pair[1]),
        foot="",
    )
    write_text(folder / f"{REPORT}.html", page)
    return folder / f"{REPORT}.html"


def _shares(bins: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bins that hold answers, each with its share of all."""
    total = sum(part["videos"] for part in bins)
    return [{**part, "share": part["videos"] / total} for part in bins if part["videos"]]
