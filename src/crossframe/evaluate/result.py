"""The result of an evaluation, video by video, its two files, and the machine that it was made on."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import crossframe
from crossframe.data.parquet import pyarrow, write_rows
from crossframe.evaluate.ranking import average_precision, open_set
from crossframe.evaluate.statistics import (
    SEED,
    TOP,
    Counts,
    Group,
    calibration,
    calibration_error,
    grouped,
    interval,
    paired_interval,
)
from crossframe.files import replacing, write_json
from crossframe.pace import figure, percent

SUMMARY = "summary.json"
PREDICTIONS = "predictions.parquet"
ENVIRONMENT = "environment.json"
MISSING = -1.0  # the score of a clip that could not be read: it comes last for every label
SHARES = (
    "top1",
    "top5",
    "mean_class",
    "action",
    "opposite",
    "color",
    "shape",
    "auroc",
    "fpr95",
    "mean_ap",
    "ap_30",
    "ap_40",
    "ap_50",
    "ap_60",
    "ap_70",
    "points",
    "covered",
    "overlap",
)  # the scores that are shares


@dataclass(frozen=True, slots=True)
class VideoResult:
    """The model's answer for one video.

    `top`: class indices, best first, at most five; `scores`: their probabilities; `target_score`: that of the right
    class. A video without an answer has an `error` instead, and counts as wrong. `damaged`: the decoder had to repair
    frames that the answer is for, or those before them, or the file was cut off. `row`: the scores of all classes, kept
    where videos have several. A target of -1 is none of the classes.
    """

    index: int
    target: int
    top: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    target_score: float | None = None
    error: str | None = None
    damaged: bool = False
    row: tuple[float, ...] | None = None

    @property
    def correct(self) -> bool:
        return self.top[:1] == (self.target,)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers for all videos, in the order of the data set, and the settings they were made with.

    `recordings`: the recording that each video was cut from; None where no two videos share one. `trained_on`: how many
    of the videos the model learned from; None where that is not known. `given`: the labels of each video as its list
    writes them, where that is not the name of its class. `probes`: the same evaluation with the time taken away
    (`evaluate.probes`). Accuracies are over the videos whose label is one of the labels.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    results: tuple[VideoResult, ...]
    made_with: Mapping[str, Any]
    recordings: Sequence[str] | None = field(default=None, kw_only=True)
    trained_on: int | None = field(default=None, kw_only=True)
    given: Sequence[str] | None = field(default=None, kw_only=True)
    probes: Mapping[str, Evaluation] = field(default_factory=dict[str, "Evaluation"], kw_only=True)

    @property
    def known(self) -> list[VideoResult]:
        """Videos whose label is one of the labels."""
        return [result for result in self.results if result.target >= 0]

    @property
    def counts(self) -> Counts:
        """Videos and hits of every class."""
        places = min(TOP, len(self.labels))
        ranked = [result.top or (-1,) * places for result in self.known]
        targets = [result.target for result in self.known]
        return Counts.of(
            torch.tensor(ranked).view(-1, places), torch.tensor(targets, dtype=torch.int64), len(self.labels)
        )

    @property
    def failures(self) -> list[VideoResult]:
        """Videos without an answer."""
        return [result for result in self.results if result.error is not None]

    def summary(self) -> dict[str, Any]:
        """Everything but the single videos, ready for JSON; the same for any number of processes."""
        counts = self.counts
        bootstrap = {"bootstrap_of": "videos" if self.recordings is None else "recordings", "bootstrap_seed": SEED}
        rights = self.rights()
        classes = zip(self.labels, counts.videos.tolist(), counts.first.tolist(), counts.in_five.tolist(), strict=True)
        return {
            "videos": len(self.known),
            "unreadable": len(self.failures),
            "trained_on": self.trained_on,
            "recordings": None if self.recordings is None else len(rights),
            "classes": len(self.labels),
            "top1": counts.top1,
            "top1_interval": list(interval(rights)),
            "top5": counts.top5,
            "mean_class": counts.mean_class,
            **self._open_set(),
            **self._probes(),
            "calibration": self._calibration(),
            "made_with": {**self.made_with, **bootstrap},
            "per_class": [
                {"label": label, "videos": videos, "top1": first / videos, "top5": near / videos}
                for label, videos, first, near in classes
                if videos
            ],
            "confusion": self._confusion(),
            "failures": [{"path": self.names[result.index], "reason": result.error} for result in self.failures],
            "damaged": [self.names[result.index] for result in self.results if result.damaged],
        }

    def rights(self) -> list[Group]:
        """How many videos of each recording are right, and how many there are."""
        recordings = self.recordings
        known = None if recordings is None else [recordings[result.index] for result in self.known]
        return grouped([int(result.correct) for result in self.known], known)

    def _open_set(self) -> dict[str, Any]:
        """How well scores tell known from unknown videos, where there are unknown ones."""
        answers = [result for result in self.results if result.top]
        if len(self.known) == len(self.results) or not answers:
            return {}
        return open_set(
            [result.scores[0] for result in answers],
            [result.target >= 0 for result in answers],
            [result.correct for result in answers],
        )

    def _probes(self) -> dict[str, Any]:
        """Top-1 of each probe, its drop, and the paired interval of the drop."""
        found: dict[str, Any] = {}
        whole = self.counts.top1
        for name, probe in self.probes.items():
            pairs = zip(self.rights(), probe.rights(), strict=True)
            low, high = paired_interval([(before - after, videos) for (before, videos), (after, _) in pairs])
            top1 = probe.counts.top1
            found[name] = {"top1": top1, "drop": whole - top1, "drop_interval": [low, high]}
        return {"probes": found} if found else {}

    def _calibration(self) -> dict[str, Any]:
        """The expected calibration error and the bins it comes from, over the videos that have an answer."""
        answers = [(result.scores[0], result.correct) for result in self.known if result.top]
        pairs = torch.tensor(answers, dtype=torch.float64).view(-1, 2)  # (N, 2)
        bins = calibration(*pairs.T.contiguous())
        return {"error": calibration_error(bins), "bins": [asdict(part) for part in bins]}

    def _confusion(self) -> list[dict[str, Any]]:
        """How often a class was taken for which, itself included, in class order; zeros are left out."""
        pairs = Counter((result.target, result.top[0]) for result in self.known if result.top)
        return [
            {"label": self.labels[target], "predicted": self.labels[said], "videos": count}
            for (target, said), count in sorted(pairs.items())
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each video, as they are saved."""
        return [
            {
                "path": self.names[result.index],
                "recording": None if self.recordings is None else self.recordings[result.index],
                "label": self.labels[result.target] if self.given is None else self.given[result.index],
                "predicted": self.labels[result.top[0]] if result.top else None,
                "correct": result.correct,
                "correct_top5": result.target in result.top,
                "label_score": result.target_score,
                "top_labels": [self.labels[place] for place in result.top],
                "top_scores": list(result.scores),
                "error": result.error,
                "damaged": result.damaged,
            }
            for result in self.results
        ]

    def save(self, folder: str | Path) -> None:
        """Write `predictions.parquet` and `summary.json`, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrow = pyarrow()
        text, number, yes_no = arrow.string(), arrow.float64(), arrow.bool_()
        types = {
            "path": text,
            "recording": text,
            "label": text,
            "predicted": text,
            "correct": yes_no,
            "correct_top5": yes_no,
            "label_score": number,
            "top_labels": arrow.list_(text),
            "top_scores": arrow.list_(number),
            "error": text,
        }
        with replacing(folder / PREDICTIONS) as target:
            write_rows(target, self.rows(), types)
        write_json(folder / SUMMARY, self.summary())  # last: where it is, all of it is


def show_score(name: str, value: float | None) -> str:
    """A score as people read it: a share in percent, any other number as it is; "-" for what is not known.

    >>> show_score("top1", 0.875), show_score("median_rank", 3.7)
    ('87.5%', '3.7')
    """
    return percent(value) if name in SHARES else "-" if value is None else figure(value, 4)


def environment(device: torch.device, processes: int) -> dict[str, Any]:
    """The content of `ENVIRONMENT` in every run's folder, for `processes` processes on one device each."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "crossframe": crossframe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyav": f"{av.__version__} with FFmpeg {av.ffmpeg_version_info}",
        "system": platform.platform(),
        "device": f"{device.type}: {name}",
        "processes": processes,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


@dataclass(frozen=True)
class MultiLabelEvaluation(Evaluation):
    """An evaluation of clips with several labels: `truths` has the class indices of each.

    A clip counts as right in `top1` and the confusions if its best label is one of its own.
    """

    truths: tuple[tuple[int, ...], ...]

    @cached_property
    def precisions(self) -> list[float]:
        """The average precision of each label; NaN for one that no clip has."""
        missing = (MISSING,) * len(self.labels)
        scores = np.array([result.row or missing for result in self.results])  # (N, K)
        true = np.zeros(scores.shape, dtype=bool)
        for row, places in zip(true, self.truths, strict=True):
            row[list(places)] = True
        return [average_precision(scores[:, k], true[:, k]) for k in range(len(self.labels))]

    @property
    def mean_ap(self) -> float:
        """The mean of `precisions` over the labels that some clip has."""
        return float(np.nanmean(self.precisions))

    def summary(self) -> dict[str, Any]:
        """`mean_ap`, `per_label` with the average precision of each, then what every evaluation says."""
        clips = np.bincount([place for places in self.truths for place in places], minlength=len(self.labels))
        found = [
            {"label": label, "videos": int(count), "average_precision": precision}
            for label, count, precision in zip(self.labels, clips, self.precisions, strict=True)
            if count
        ]
        return {"mean_ap": self.mean_ap, "per_label": found} | Evaluation.summary(self)
