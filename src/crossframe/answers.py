"""From the features of videos to answers about them: predictions among labels, and vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.inference import Inference
from crossframe.model.xclip import VideoFeatures
from crossframe.prediction import Embedding, Prediction
from crossframe.scoring import Scoring
from crossframe.video.decode import Frames
from crossframe.video.guard import VideoError


class ScoreError(VideoError):
    """A model gives scores for a video that are not numbers."""


@dataclass(frozen=True, eq=False)
class Question:
    """Labels that are asked about, with their features: made once, for any number of videos and threads.

    `text` is float (K + background, E), None for a linear head.
    """

    inference: Inference
    scoring: Scoring
    text: Tensor | None

    def logits(self, features: VideoFeatures) -> Tensor:
        """Features of B clips -> float32 (B, K + background), on the CPU."""
        return self.inference.score(features, self.text)

    def similarities(self, logits: Tensor) -> Tensor | None:
        """Logits (..., K + background) -> cosines (..., K) of clips and labels; None for a linear head, or where the
        scale of logits has fallen to zero."""
        scale, bias = self._scale
        if self.text is None or not scale:
            return None
        return (logits[..., : len(self.scoring.labels.labels)] - bias) / scale

    @cached_property
    def _scale(self) -> tuple[float, float]:
        """Scale and bias of logits: once for all answers, since a GPU is waited for."""
        model = self.inference.model
        bias = 0.0 if model.logit_bias is None else float(model.logit_bias.detach())
        return float(model.logit_scale.detach().exp()), bias

    def answer(self, frames: Frames, logits: Tensor, *, keep_pixels: bool = False) -> Prediction | ScoreError:
        """The prediction for one clip by its row of logits, (K + background,)."""
        if not logits.isfinite().all():
            return ScoreError(
                f"{frames.source}: the model's scores are not numbers; its weights have diverged, or need float32"
            )
        chosen = self.scoring.labels
        names = chosen.labels
        asks = bool(chosen.thresholds or chosen.background or any(group.independent for group in chosen.groups))
        return Prediction(
            frames.source,
            names,
            self.scoring(logits),
            self.similarities(logits),
            frames.seen(),
            frames.pixels if keep_pixels else None,
            chosen.group_names,
            self.scoring.accepted(logits) if asks else None,
        )


def as_vector(frames: Frames, row: Tensor) -> Embedding | VideoError:
    """The embedding (E,) of one clip as a unit vector."""
    if not row.isfinite().all():
        return VideoError(f"{frames.source}: its vector is not of numbers; the weights have diverged, or need float32")
    return Embedding(frames.source, F.normalize(row, dim=-1), frames.seen())


def stack(features: VideoFeatures) -> Tensor:
    """All that the score of B clips needs, (B, 1 + N, E): the embedding, and behind it the patches, if labels look at
    them."""
    embedding = features.embedding[:, None]
    return embedding if features.patches is None else torch.cat([embedding, features.patches], dim=1)


def unstack(rows: Tensor) -> VideoFeatures:
    """The features that `stack` put together; `frames` are not in it, and the embedding stands for them."""
    return VideoFeatures(rows[:, 0], rows[:, 1:] if rows.shape[1] > 1 else None, rows[:, :1])
