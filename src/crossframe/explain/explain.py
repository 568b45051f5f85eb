"""Why a model gives a clip a label: which frames, which places, and what frames hear from each other.

What the gradient and the attention say (`places`, `attention`, `heard`) is a reading of one pass through the model.
What happens without a frame, or without messages (`without`, `alone`), is measured: the model looks again.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from math import isnan
from typing import Any

import torch
from torch import Tensor

from crossframe.answers import Question, Scoring
from crossframe.explain.relevance import AttentionWeights, Pass, carried, look, message_places
from crossframe.inference import exact_convolutions
from crossframe.model.preprocess import Preprocess, center_box
from crossframe.model.xclip import XCLIP
from crossframe.prediction import Prediction

AT_ONCE = 8  # clips computed together


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """How frames hear from each other. Rows are the frames that hear, columns those that are heard.

    `attention` (T, T): that of message tokens, mean over blocks and heads. `heard` (T, T): the share of what counted
    for the answer and came in messages; all add up to one. `without`: the score of the label when messages bring
    nothing from other frames, and `evidence`: by how much its log-odds fall then.
    """

    attention: Tensor
    heard: Tensor
    without: float
    evidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "attention": _plain(self.attention),
            "heard": _plain(self.heard),
            "without": self.without,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Reasons for the score of `label` in `prediction`, whose pixels are kept.

    `places` (T, g, g): the share that each patch has in the answer; all add up to one. `view`: left, top, right and
    bottom of what the model sees of a frame, as shares of its width and height.
    `without` (T,): the score of the label when a frame is replaced by the one before it, the first by the second, and
    `evidence` (T,): by how much its log-odds fall then; both None of a single frame.
    `attention` (T,): how much of the frames' attention in the multi-frame transformer each frame gets; None without it.
    `messages` is None for a model without them.
    `score` is that of the label, in float32 by the model's own arithmetic, as are those above.
    """

    prediction: Prediction
    label: str
    score: float
    places: Tensor
    view: tuple[float, float, float, float]
    without: Tensor | None
    evidence: Tensor | None
    attention: Tensor | None
    messages: Messages | None

    @property
    def shares(self) -> Tensor:
        """(T,): the share that each frame has in the answer."""
        return self.places.sum(dim=(1, 2))

    def __repr__(self) -> str:
        return f"Explanation({self.prediction.video!r}: {self.label!r} {self.score:.1%})"

    def _repr_html_(self) -> str:
        """The frames under the map of relevance, in a notebook."""
        from crossframe.explain.pictures import in_notebook  # which is made of explanations

        return in_notebook(self)

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Plain values, ready for JSON: those of the prediction, and `explained`."""
        seen = self.prediction.frames
        rows = {"share": self.shares, "without": self.without, "evidence": self.evidence, "attention": self.attention}
        columns = {name: None if row is None else _plain(row) for name, row in rows.items()}
        frames = [
            {
                "index": index,
                "time": None if isnan(time) else time,
                **{name: None if column is None else column[t] for name, column in columns.items()},
            }
            for t, (index, time) in enumerate(zip(seen.indices.tolist(), seen.times.tolist(), strict=True))
        ]
        return {
            **self.prediction.to_dict(top),
            "explained": {
                "label": self.label,
                "score": self.score,
                "frames": frames,
                "places": _plain(self.places),
                "view": dict(zip(("left", "top", "right", "bottom"), self.view, strict=True)),
                "messages": None if self.messages is None else self.messages.to_dict(),
            },
        }


def explain(prediction: Prediction, question: Question, label: str | None = None) -> Explanation:
    """Explain a prediction that has its pixels, an answer to `question`. `label` is one of its labels, by default the
    best.

    Raises ValueError for a label that is not among them.
    """
    names = prediction.labels
    label = prediction.label if label is None else label
    if label not in names:
        raise ValueError(f"{label!r} is not among the labels: choose {' or '.join(map(repr, names[:3]))}, or add it")
    if prediction.pixels is None:
        raise ValueError("the prediction has no pixels: classify with keep_pixels=True")
    place = names.index(label)
    model, scoring = in_float32(question.inference.model), question.scoring
    # features of inference cannot take part in gradients
    text = None if question.text is None else question.text.clone().to(model.dtype)
    with exact_convolutions():
        video = model.prepare(prediction.pixels)
        found = look(model, video, text, lambda logits: logits[place])
        relevance, told = carried(model, found.relevant, place)
        if not relevance.any():
            raise ValueError(f"nothing in the video speaks for {label!r}: explain another label")
        each = _without_each(model, video, text)
        apart = _without_messages(model, video, text)
    sure = scoring.log_odds(found.logits, place)
    grid = math.isqrt(relevance.shape[1])
    return Explanation(
        prediction,
        label,
        float(scoring(found.logits)[place]),
        (relevance / relevance.sum()).unflatten(1, (grid, grid)).cpu(),
        view_of(model.preprocess, *reversed(prediction.pixels.shape[-2:])),
        None if each is None else scoring(each)[:, place],
        None if each is None else sure - scoring.log_odds(each, place),
        _mean(found.attention.frames, dim=(0, 1)),
        None if apart is None else _messages(found, told, scoring, place, apart),
    )


def _messages(found: Pass, told: Tensor, scoring: Scoring, place: int, apart: Tensor) -> Messages:
    attention = _mean([block.messages for block in found.attention.blocks if block.messages is not None])
    assert attention is not None
    fall = scoring.log_odds(found.logits, place) - scoring.log_odds(apart, place)
    return Messages(attention, (told / told.sum()).cpu(), float(scoring(apart)[place]), float(fall))


def view_of(preprocess: Preprocess, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of a frame that a model sees: left, top, right and bottom, as shares of width and height."""
    scaled = preprocess.frame_size(width, height)
    left, top, right, bottom = center_box(*scaled, preprocess.size)
    return left / scaled[0], top / scaled[1], right / scaled[0], bottom / scaled[1]


def in_float32(model: XCLIP) -> XCLIP:
    """The model, or a copy of it where its weights are rounded."""
    exact = all(parameter.dtype in (torch.float32, torch.float64) for parameter in model.parameters())
    return model if exact else copy.deepcopy(model).float()


@torch.no_grad()
def _without_each(model: XCLIP, video: Tensor, text: Tensor | None) -> Tensor | None:
    """Logits (T, K), on the CPU, with each frame replaced by the one before it, the first by the second."""
    count = video.shape[1]
    if count == 1:
        return None
    order = torch.arange(count).repeat(count, 1)  # a row for each clip
    order.diagonal().copy_(torch.tensor([1, *range(count - 1)]))
    clips = video[0][order.to(video.device)]  # (T, T, 3, S, S)
    return torch.cat([model.score(model.encode_video(part), text) for part in clips.split(AT_ONCE)]).cpu()


@torch.no_grad()
def _without_messages(model: XCLIP, video: Tensor, text: Tensor | None) -> Tensor | None:
    """Logits (K,), on the CPU, where every message attends to its own frame alone; None for a model without any."""
    messages = message_places(model)
    if not messages:
        return None
    own = torch.eye(video.shape[1], device=video.device)
    with AttentionWeights(lambda place, weights: own.expand_as(weights) if place in messages else weights):
        features = model.encode_video(video)
    return model.score(features, text)[0].cpu()


def _mean(layers: list[Tensor], dim: int | tuple[int, ...] = 0) -> Tensor | None:
    """Over layers (T, T), and over what else is asked for; None where there are none."""
    return torch.stack(layers).mean(dim=dim).cpu() if layers else None


def _plain(values: Tensor) -> Any:
    return [_plain(row) for row in values] if values.dim() > 1 else [float(f"{value:.6g}") for value in values.tolist()]
