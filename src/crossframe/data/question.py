"""What training asks about clips: closed lists of sentences, of which some are true of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossframe.data.batch import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question to B clips: which of K sentences is true?

    `targets`: float (B, K), the share of each sentence in the answer. A row adds up to one, or is all zeros where the
    clip is not asked. With `both_ways`, each sentence is also asked for its clip, as in language-image pretraining.
    """

    name: str
    texts: tuple[str, ...]
    targets: Tensor
    both_ways: bool = False

    def __post_init__(self) -> None:
        shape = (self.targets.shape[0], len(self.texts))
        if self.targets.shape != shape:
            raise ValueError(f"question '{self.name}' has answers {tuple(self.targets.shape)}; expected {shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A batch of clips and what is asked about them."""

    batch: Batch
    questions: tuple[Question, ...]

    def __len__(self) -> int:
        return len(self.batch)


def among_labels(batch: Batch, labels: Sequence[str]) -> Lesson:
    """The question of every labelled data set: which of its labels?"""
    targets = torch.nn.functional.one_hot(batch.targets, len(labels)).float()
    return Lesson(batch, (Question("label", tuple(labels), targets),))


def choose(name: str, answers: Sequence[Sequence[str]], texts: Sequence[str] | None = None) -> Question:
    """A question from the true sentences of each clip; nobody is asked where there are none.

    The list to choose from is `texts`, or all answers. Several true sentences share the answer equally.

    >>> choose("colour", [["red"], ["red", "blue"]]).targets.tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    listed = tuple(dict.fromkeys(texts if texts is not None else (text for row in answers for text in row)))
    place = {text: column for column, text in enumerate(listed)}
    targets = torch.zeros(len(answers), len(listed))
    for row, true in zip(targets, answers, strict=True):
        for text in set(true):
            row[place[text]] = 1 / len(set(true))
    return Question(name, listed, targets)
