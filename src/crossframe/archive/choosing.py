"""Which clips to label next, and which labels are likely wrong, by the vectors of an index: no video is read.

A clip is worth asking about where a classifier doubts, by the margin between its two best labels, and where it lies far
from the others asked about and from those that are labeled already (k-center). The classifier begins with what the
model says of the words, its logits, and learns from labeled clips what these leave open: a linear one on their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from crossframe.archive.store import Vector

Numbers: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = tuple[Tensor, Tensor]

DECAY = 1e-3  # of the classifier's weights: few clips are labeled
SCALE = 20.0  # of vectors, so that classes can be told apart within that decay
STEPS = 100
DOUBTED = 5  # times as many doubtful clips as are wanted, among which those far apart are taken
FOLDS = 5
FEWEST = 2  # clips of a label, on average, from which its classifier is worth more than the model's logits alone


def fit(vectors: Vector, targets: Sequence[int], logits: Numbers) -> Weights:
    """Weights (K, E) and biases (K,) of a linear classifier of unit vectors (n, E), added to `logits` (n, K)."""
    given, y = torch.from_numpy(logits), torch.tensor(targets)
    x = SCALE * torch.from_numpy(vectors)
    weight = torch.zeros(logits.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(given + x @ weight.T + bias, y) + DECAY * weight.square().sum()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return weight.detach(), bias.detach()


def learned(vectors: Vector, logits: Numbers, weights: Weights) -> Numbers:
    """Unit vectors (n, E), the model's logits (n, K) -> those of the classifier, (n, K)."""
    added = SCALE * torch.from_numpy(vectors) @ weights[0].T + weights[1]
    return logits + added.numpy()


def probabilities(logits: Numbers) -> Numbers:
    """(n, K) -> (n, K)"""
    return torch.from_numpy(logits).softmax(dim=1).numpy()


def margins(scores: Numbers) -> Numbers:
    """Probabilities (n, K) -> by how much the best label leads, (n,): little where a clip is doubtful."""
    if scores.shape[1] < 2:
        return np.ones(len(scores), np.float32)
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def spread(vectors: Vector, count: int, given: Vector) -> list[int]:
    """The places of `count` of the unit vectors (n, E), each time the one farthest from all `given` and chosen ones.

    Where none are given, the first is the one in their middle.
    """
    if not count or not len(vectors):
        return []
    chosen: list[int] = []
    if len(given):
        nearest = (vectors @ given.T).max(axis=1)  # of each, the cosine with what is nearest to it
    else:
        chosen = [int((vectors @ vectors.mean(axis=0)).argmax())]
        nearest = vectors @ vectors[chosen[0]]
    while len(chosen) < min(count, len(vectors)):
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    return chosen


def choose(vectors: Vector, scores: Numbers, labeled: Vector, count: int, by: str) -> list[int]:
    """The places of the `count` clips to label next among vectors (n, E) that have no label: by "margin", by
    "diversity", or by "both".

    `scores` (n, K) are a classifier's probabilities, `labeled` (m, E) the vectors of clips that have a label.
    """
    if by == "diversity":
        return spread(vectors, count, labeled)
    doubtful = np.argsort(margins(scores), kind="stable")
    if by == "margin":
        return doubtful[:count].tolist()
    among = doubtful[: DOUBTED * count]
    return [int(among[place]) for place in spread(vectors[among], count, labeled)]


def doubts(vectors: Vector, targets: Sequence[int], logits: Numbers) -> tuple[Numbers, Numbers]:
    """How much speaks against each label, (n,): by how much the best other label's logit is above its own, by
    classifiers that did not see the clip; and these logits, (n, K).

    Of labels with fewer than `FEWEST` clips on average nothing can be learned while some are left out: the model's
    logits decide alone.
    """
    y = np.asarray(targets)
    found = logits.copy()
    if len(y) >= FEWEST * logits.shape[1]:
        order = np.random.default_rng(0).permutation(len(y))
        for fold in range(FOLDS):
            out, kept = order[fold::FOLDS], np.delete(order, np.s_[fold::FOLDS])
            found[out] = learned(vectors[out], logits[out], fit(vectors[kept], y[kept].tolist(), logits[kept]))
    rows = np.arange(len(y))
    others = found.copy()
    others[rows, y] = -np.inf
    return others.max(axis=1) - found[rows, y], found
