"""Clips as a loader yields them, with those that could not be read, and the tasks that they are trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Failure:
    """A clip that could not be read: its `index` in the data set, its class `target`, and one line that says why."""

    index: int
    target: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B clips that could be read, and those of the same batch that could not.

    `videos`: uint8 (T, 3, H, W) for each clip, in a list, of any sizes, or as one tensor (B, T, 3, H, W). Clips read
    for several temporal views have these one after the other: T = views * frames.
    `targets`: int64 (B,), class indices; of drawn clips those in their first task, -1 for one without part in it.
    `indices`: int64 (B,), places in the data set.
    `failures` appear in none of the others. Training counts them and goes on; evaluation counts them as wrong.
    `damaged`: those of `indices` whose frames the decoder had to repair, or that follow such frames, and those of files
    that were cut off.
    """

    videos: list[Tensor] | Tensor
    targets: Tensor
    indices: Tensor
    failures: tuple[Failure, ...] = ()
    damaged: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not len(self.videos) == len(self.targets) == len(self.indices):
            counts = len(self.videos), len(self.targets), len(self.indices)
            raise ValueError(f"a batch has {counts} videos, targets and indices; give as many of each")

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """B clips to be classified among K texts.

    `targets`: float (B, K), the target distribution of each clip. A row sums to one, or is all zeros where the clip has
    no part in the task; where several texts are right at once, which the sigmoid loss alone takes, each has a one. With
    `symmetric`, texts are also matched to clips, as in language-image pretraining.
    """

    name: str
    texts: tuple[str, ...]
    targets: Tensor
    symmetric: bool = False

    def __post_init__(self) -> None:
        shape = (self.targets.shape[0], len(self.texts))
        if self.targets.shape != shape:
            raise ValueError(f"task '{self.name}' has targets {tuple(self.targets.shape)}; expected {shape}")


@dataclass(frozen=True, slots=True, eq=False)
class TrainBatch:
    """A batch of clips and the tasks that they are trained for."""

    clips: Batch
    tasks: tuple[Task, ...]

    def __len__(self) -> int:
        return len(self.clips)


def classification(clips: Batch, labels: Sequence[str], classes: Sequence[Sequence[int]] | None = None) -> TrainBatch:
    """The single task of every labeled data set: the clips' classes, `labels` by class index.

    `classes`: those of every clip of the data set, where clips have several, each of which is right.
    """
    if classes is None:
        targets = torch.nn.functional.one_hot(clips.targets, len(labels)).float()
    else:
        targets = torch.zeros(len(clips), len(labels))
        for row, index in zip(targets, clips.indices.tolist(), strict=True):
            row[list(classes[index])] = 1.0
    return TrainBatch(clips, (Task("label", tuple(labels), targets),))


def make_task(name: str, true: Sequence[Sequence[str]], candidates: Sequence[str] | None = None) -> Task:
    """A task from the texts that are true of each clip; clips with none have no part in it.

    The classes are `candidates`, or else all texts given. Several true texts share the target equally.

    >>> make_task("color", [["red"], ["red", "blue"]]).targets.tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    texts = tuple(dict.fromkeys(candidates if candidates is not None else (text for row in true for text in row)))
    column = {text: place for place, text in enumerate(texts)}
    targets = torch.zeros(len(true), len(texts))
    for row, found in zip(targets, map(set, true), strict=True):
        for text in found:
            row[column[text]] = 1 / len(found)
    return Task(name, texts, targets)
