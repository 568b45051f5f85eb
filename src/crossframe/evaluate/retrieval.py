"""Videos found by sentences and sentences by videos: recall at 1, 5 and 10, median rank, nDCG.

The score is the whole model's: where the words look at the video (the prompts of X-CLIP), so do they here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from crossframe.data.batch import Batch
from crossframe.data.captions import Captioned
from crossframe.data.loader import EvalLoader
from crossframe.data.reader import Sampling
from crossframe.evaluate.ranking import DEPTH, RANKS, discounted_gain, ranks
from crossframe.inference import TEXTS_AT_ONCE, Inference, evaluating
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.text.labels import PLACE, wordings
from crossframe.weights.saving import fingerprint

WORST = -1e30  # the score of a clip that could not be read


def retrieve(
    model: XCLIP,
    given: Captioned,
    *,
    template: str = PLACE,
    sampling: Sampling | None = None,
    workers: int = 0,
    watch: Callable[[EvalLoader], Iterable[Batch]] = iter,
) -> dict[str, Any]:
    """The summary of both directions. A clip that cannot be read comes last everywhere, and is listed in `failures`.

    Raises ValueError for a model with a linear head, which has no words.
    """
    if model.text is None:
        raise ValueError("the model has a linear head and no words to search with; give one with a text encoder")
    sampling = sampling or Sampling(model.config.num_frames)
    loader = EvalLoader(given.clips, sampling, 8, short_side=model.preprocess.short_side, workers=workers)
    scores = torch.full((len(given.clips), len(given.texts)), WORST, dtype=torch.float64)
    failures: list[dict[str, str]] = []
    names = given.clips.names
    with evaluating(model):
        inference = Inference(model, fast=False)
        text = torch.stack([_one(inference, said) for said in wordings(given.texts, template)])
        for batch in watch(loader):
            failures += [{"path": names[failure.index], "reason": failure.reason} for failure in batch.failures]
            if len(batch):
                scores[batch.indices] = score_all(inference, inference.encode(list(batch.videos)), text).double()
    right = np.zeros(scores.shape, dtype=bool)
    right[tuple(np.array(given.pairs).T)] = True
    return {
        "videos": len(given.clips),
        "captions": len(given.texts),
        **both_ways(scores.numpy(), right),
        "made_with": {
            "data": str(given.clips.root.absolute()),
            "split_hash": given.clips.digest(),
            "weights": fingerprint(model),
            "template": template,
            "sampling": asdict(sampling),
        },
        "failures": failures,
    }


def _one(inference: Inference, said: Iterable[str]) -> Tensor:
    """The features of one sentence, (E,)."""
    found = inference.texts.of_labels([tuple(said)])
    if found is None:
        raise ValueError("the model has no text encoder")
    return found[0]


def score_all(inference: Inference, features: VideoFeatures, text: Tensor) -> Tensor:
    """Features of B clips and of C sentences, (C, E) -> (B, C), a few sentences at a time."""
    return torch.cat([inference.score(features, part) for part in text.split(TEXTS_AT_ONCE)], dim=1)


def both_ways(scores: ArrayLike, right: ArrayLike) -> dict[str, Any]:
    """Scores and what is right, (V, C), of V videos and C sentences -> the metrics of both directions."""
    scores, right = np.asarray(scores), np.asarray(right)
    return {"text_to_video": one_way(scores.T, right.T), "video_to_text": one_way(scores, right)}


def one_way(scores: ArrayLike, right: ArrayLike) -> dict[str, float]:
    """Scores and what is right, (Q, D), of Q queries and D documents: recall, ranks and nDCG, means over queries."""
    found = ranks(scores, right)
    return {
        **{f"recall_at_{k}": float((found <= k).mean()) for k in RANKS},
        "median_rank": float(np.median(found)),
        "mean_rank": float(found.mean()),
        f"ndcg_at_{DEPTH}": discounted_gain(scores, right),
    }
