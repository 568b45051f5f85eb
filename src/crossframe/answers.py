"""From the features of videos to answers about them: scores that one can act on, predictions among labels, and vectors.

A softmax over the labels that somebody typed cannot say that none of them fits, and cannot say two things at once.
Background words take the share of what nobody typed; labels that are scored by themselves do not share at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.inference import Inference
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.prediction import Embedding, Prediction
from crossframe.text.labels import GENERIC, Group, LabelSet
from crossframe.video.decode import Frames
from crossframe.video.given import VideoError

EVEN = 0.5  # the threshold of a label that is scored by itself and has none of its own


class ScoreError(VideoError):
    """A model gives scores for a video that are not numbers."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the logits of `labels`, and of their background after them, become scores.

    `absolute`: each logit says by itself whether its label is true, as those of sigmoid training do; otherwise a label
    that is scored by itself is compared with the background. `temperature` divides logits.
    """

    labels: LabelSet
    absolute: bool = False
    temperature: float = 1.0

    def __call__(self, logits: Tensor) -> Tensor:
        """float (..., K + background) -> (..., K), probabilities.

        Those of a group that competes add up to one together with the background's.
        """
        logits = logits / self.temperature
        names = self.labels.labels
        behind = logits[..., len(names) :]
        parts: list[Tensor] = []
        for group, share in self._parts(logits):
            if not group.independent:
                parts.append(torch.cat([share, behind], dim=-1).softmax(dim=-1)[..., : len(group.labels)])
            elif self.absolute:
                parts.append(share.sigmoid())
            else:
                parts.append((share - behind.logsumexp(dim=-1, keepdim=True)).sigmoid())
        return torch.cat(parts, dim=-1)

    def log_odds(self, logits: Tensor, place: int) -> Tensor:
        """float (..., K + background) -> (...), those of the score of the label at `place`; of a label with nothing to
        compare with, its logit. A score near 1 hardly moves where its log-odds do."""
        logits, count = logits / self.temperature, len(self.labels.labels)
        rivals = list(range(count, logits.shape[-1]))
        start = 0
        for group in self.labels.groups:
            own = range(start, start := start + len(group.labels))
            if place in own and not group.independent:
                rivals += [other for other in own if other != place]
            elif place in own and self.absolute:
                rivals = []
        own = logits[..., place]
        return own - logits[..., rivals].logsumexp(dim=-1) if rivals else own

    @classmethod
    def of(cls, model: XCLIP, labels: LabelSet) -> Scoring:
        """The scoring of these labels by a model: calibrated, if it is.

        Independent labels get `GENERIC` as a background where neither they nor the model say what to compare with.
        Raises ValueError for words beside a linear head, which has its classes built in.
        """
        absolute = model.head is not None or model.logit_bias is not None
        if model.head is not None and labels.background:
            raise ValueError("the model's linear head knows no words; leave the background out")
        if not labels.background and not absolute and any(group.independent for group in labels.groups):
            labels = replace(labels, background=tuple(text for text in GENERIC if text not in labels.labels))
        found = model.taught.calibration
        if found is None:
            return cls(labels, absolute)
        fitted = {label: value for label, value in found.thresholds.items() if label in labels.labels}
        return cls(replace(labels, thresholds={**fitted, **labels.thresholds}), absolute, found.temperature)

    def accepted(self, logits: Tensor) -> tuple[int, ...]:
        """float (K + background,) -> the labels that count, by index, best first.

        Of labels that compete it is the best one, if it reaches its threshold, or without one if no word of the
        background fits better. Of others it is every one that reaches its threshold, or a half. A threshold of 1 is
        never reached.
        """
        scores, names = self(logits), self.labels.labels
        behind = logits[len(names) :]
        found: list[int] = []
        start = 0
        for group, share in self._parts(logits):
            places = (
                range(len(group.labels)) if group.independent else [int(share.argsort(descending=True, stable=True)[0])]
            )
            for place in places:
                limit = self.labels.thresholds.get(group.labels[place], EVEN if group.independent else None)
                fits = share[place] >= behind.max() if limit is None and len(behind) else True
                if fits if limit is None else limit < 1 and scores[start + place] >= limit:
                    found.append(start + place)
            start += len(group.labels)
        return tuple(sorted(found, key=lambda place: -float(scores[place])))

    def _parts(self, logits: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Each group with its own logits."""
        sizes = [len(group.labels) for group in self.labels.groups]
        yield from zip(self.labels.groups, logits[..., : sum(sizes)].split(sizes, dim=-1), strict=True)


def with_background(labels: LabelSet, model: XCLIP) -> LabelSet:
    """The labels with `GENERIC` as their background, where neither they nor the model says when none of them is shown;
    one of several can always be the best."""
    if labels.background or labels.thresholds or model.taught.calibration or model.head is not None:
        return labels
    return replace(labels, background=tuple(text for text in GENERIC if text not in labels.labels))


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
