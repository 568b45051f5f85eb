"""Videos and words in, names out: the API a person uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.inference import ROUNDED, Inference, Precision, choose_precision
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.processes import cores
from crossframe.text.labels import check_labels
from crossframe.text.templates import PLACE, Descriptions, wordings
from crossframe.video.decode import Frames, Source, problems
from crossframe.video.error import VideoError
from crossframe.video.isolate import decode_many
from crossframe.weights import load

R = TypeVar("R")

ONE_VIDEO = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, Tensor)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer for one video: a score for every label, in the order of the labels given.

    `scores` (K,) are probabilities among these labels and add up to one. `similarities` (K,) are cosines between video
    and label, each of which means something on its own; a model with a linear head has none.
    """

    video: str
    labels: tuple[str, ...]
    scores: Tensor
    similarities: Tensor | None
    frames: Frames

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k best labels and their scores, best first. Labels with equal scores keep their order."""
        return [(self.labels[i], float(self.scores[i])) for i in self.ranking()[:k]]

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[self.ranking()[0]]

    def __repr__(self) -> str:
        best = ", ".join(f"{label!r} {score:.1%}" for label, score in self.top(3))
        more = f", {len(self.labels) - 3} more" if len(self.labels) > 3 else ""
        return f"Prediction({self.video!r}: {best}{more})"

    def _repr_html_(self) -> str:
        """The film strip and bars, in a notebook."""
        from crossframe import pages

        return pages.render(
            "notebook", each=pages.Clip(self.video, self.top(5), pictures=pages.strip(self.frames.pixels))
        )

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Plain values, ready for JSON: the `top` best labels with their scores, and the frames that were seen.

        `warnings`, lines about a damaged or short video, is there if there are any.
        """
        frames, similar = self.frames, self.similarities
        wrong = problems(frames)
        return {
            "video": self.video,
            "predictions": [
                {
                    "label": self.labels[i],
                    "score": float(self.scores[i]),
                    "similarity": None if similar is None else float(similar[i]),
                }
                for i in self.ranking()[:top]
            ],
            "frames": {
                "indices": frames.indices.tolist(),
                "times": [None if isnan(time) else time for time in frames.times.tolist()],
                "total": frames.total,
                "damaged": int(frames.damaged.sum()),
            },
            **({"warnings": wrong} if wrong else {}),
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of all labels, best first: `video`, `label`, `score`, `similarity`."""
        pandas = import_module("pandas")
        return pandas.DataFrame([{"video": self.video, **entry} for entry in self.to_dict()["predictions"]])

    def ranking(self) -> list[int]:
        """Label indices, best first."""
        return self.scores.argsort(descending=True, stable=True).tolist()


class Recognizer:
    """A model, a precision and a number of frames; caches the features of recent labels.

    `precision` is that of the image encoder, which takes most of the time. float32 gives the results of the model
    itself; `auto`, the default of `from_pretrained`, is bfloat16 where the device is fast at it or the weights are
    rounded already. The recognizer works on copies of the weights: after training the model further, or registering
    hooks on it, make another recognizer.

    `template`, for instance "a video of {}", is put around every label; of several, such as
    `crossframe.text.ENSEMBLE`, the features are averaged (the paper's ensemble of templates).
    `descriptions` are sentences that stand for each label in its place, averaged too.
    `workers` processes decode videos while the model computes: by default one on a CPU, and up to eight on a GPU.
    `batch_size` clips are computed together (by default one on a CPU, and eight on a GPU), and one video may take
    `timeout` seconds to be read; both may be set at any time.
    """

    def __init__(
        self,
        model: XCLIP,
        *,
        num_frames: int | None = None,
        precision: Precision | Literal["auto"] = "float32",
        template: str | Sequence[str] | None = None,
        descriptions: Descriptions | None = None,
        workers: int | None = None,
    ) -> None:
        if not isinstance(model, XCLIP):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"{model!r} is no model; give crossframe.load(...), or use Recognizer.from_pretrained")
        self.num_frames = model.config.num_frames if num_frames is None else num_frames
        if self.num_frames < 1:
            raise ValueError(f"{self.num_frames} frames were asked for; a clip has at least one")
        if precision == "auto" and any(parameter.dtype in ROUNDED for parameter in model.parameters()):
            precision = "bfloat16"
        self._inference = Inference(model.eval(), choose_precision(precision, model.device))
        self.template = PLACE if template is None else template
        self.descriptions = descriptions
        self.workers = _default_workers(model.device) if workers is None else workers
        # A CPU is as fast on one clip as on many, and the first result comes sooner.
        self.batch_size = 1 if model.device.type == "cpu" else 8
        self.timeout = 60.0

    @property
    def model(self) -> XCLIP:
        """The model given."""
        return self._inference.model

    @property
    def precision(self) -> Precision:
        """The precision of the image encoder."""
        return self._inference.precision

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        device: str | torch.device | None = None,
        precision: Precision | Literal["auto"] = "auto",
        num_frames: int | None = None,
        template: str | Sequence[str] | None = None,
        descriptions: Descriptions | None = None,
        workers: int | None = None,
    ) -> Self:
        """Load `source` (see `crossframe.load`) into a recognizer."""
        model = load(source, device=device)
        return cls(
            model,
            precision=precision,
            num_frames=num_frames,
            template=template,
            descriptions=descriptions,
            workers=workers,
        )

    @overload
    def classify(self, videos: Source, labels: Sequence[str]) -> Prediction: ...
    @overload
    def classify(self, videos: Sequence[Source] | Iterator[Source], labels: Sequence[str]) -> list[Prediction]: ...
    def classify(self, videos: Source | Iterable[Source], labels: Sequence[str]) -> Prediction | list[Prediction]:
        """Score `labels` for each video. One video gives one prediction, several give a list.

        Raises `ValueError` for labels that are empty or read the same to the model, and its subclass `VideoError` at
        the first file that cannot be read; `classify_each` goes on instead.
        """
        if isinstance(videos, ONE_VIDEO):
            return _or_raise(next(self.classify_each([cast("Source", videos)], labels)))
        return [_or_raise(result) for result in self.classify_each(videos, labels)]

    def classify_each(self, videos: Iterable[Source], labels: Sequence[str]) -> Iterator[Prediction | VideoError]:
        """Predictions in the order of `videos`, as they come; a file that cannot be read gives its error instead.

        The next videos are decoded while the model works; memory does not grow with their number.
        """
        names = tuple(check_labels(labels))
        text = self._label_features(names)
        scale = float(self.model.logit_scale.detach().exp())
        bias = 0.0 if self.model.logit_bias is None else float(self.model.logit_bias.detach())
        for item in self._read(videos, lambda features: self._inference.score(features, text)):
            if isinstance(item, VideoError):
                yield item
                continue
            frames, logits = item  # (K,)
            if not logits.isfinite().all():
                yield VideoError(
                    f"{frames.source}: the model's scores are not numbers; its weights have diverged, or need float32"
                )
                continue
            similarities = None if text is None else (logits - bias) / scale
            yield Prediction(frames.source, names, logits.softmax(dim=0), similarities, frames)

    def embed_videos(self, videos: Iterable[Source]) -> Tensor:
        """Videos to unit vectors (N, E), comparable with those of `embed_texts`. Raises `VideoError` on a bad file."""
        rows = [_or_raise(item)[1] for item in self._read(videos, lambda features: features.embedding)]
        if not rows:
            return torch.empty(0, self.model.config.embed_dim)
        return F.normalize(torch.stack(rows), dim=-1)

    def embed_texts(self, labels: Sequence[str]) -> Tensor:
        """Labels to unit vectors (K, E). Raises `ValueError` for a model with a linear head."""
        if self.model.text is None:
            raise ValueError("this model has a linear head and cannot embed texts")
        return F.normalize(cast("Tensor", self._label_features(tuple(check_labels(labels)))).float(), dim=-1).cpu()

    def _label_features(self, labels: tuple[str, ...]) -> Tensor | None:
        """(K, E) on the model's device; None for a linear head."""
        return self._inference.texts.of_labels(wordings(labels, self.template, self.descriptions))

    def _read(
        self, videos: Iterable[Source], found: Callable[[VideoFeatures], Tensor]
    ) -> Iterator[tuple[Frames, Tensor] | VideoError]:
        """The frames of each clip, in the order of `videos`, with its row of what is `found` in its features.

        `found` takes the features of B clips to (B, ...); rows are float32 on the CPU.
        """
        if isinstance(videos, ONE_VIDEO):
            given = repr(videos) if isinstance(videos, (str, os.PathLike)) else f"one {type(videos).__name__}"
            raise ValueError(f"videos is {given}; give a list of videos")
        short_side = self.model.preprocess.short_side
        alone = isinstance(videos, (list, tuple)) and len(videos) == 1  # nothing to decode ahead
        workers = 0 if alone else self.workers
        decoded = decode_many(videos, self.num_frames, short_side=short_side, workers=workers, timeout=self.timeout)
        while group := list(islice(decoded, self.batch_size)):
            clips = [result.pixels for result in group if not isinstance(result, VideoError)]
            # Once for all of them: a GPU is waited for until the numbers are here.
            rows = found(self._inference.encode(clips)).float().cpu() if clips else ()
            left = iter(rows)
            for result in group:
                yield result if isinstance(result, VideoError) else (result, next(left))


def _default_workers(device: torch.device) -> int:
    # A CPU is busy with the model itself; a GPU waits for frames.
    return 1 if device.type == "cpu" else min(cores(), 8)


def _or_raise(result: R | VideoError) -> R:
    if isinstance(result, VideoError):
        raise result
    return result
