"""The models of an archive's pipeline: frames to rows of labels and vectors."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from crossframe.answers import as_vector, stack
from crossframe.archive.decoding import Batch, Job
from crossframe.archive.indexing import source_of
from crossframe.archive.store import Row
from crossframe.inference import Precision
from crossframe.recognizer import Recognizer
from crossframe.text.labels import LabelSet
from crossframe.video.decode import Frames
from crossframe.video.exact import Decoded
from crossframe.video.given import VideoError


@dataclass(frozen=True, slots=True)
class Answering:
    """How clips are answered: the same in all processes. `top` is the number of labels in a row, `columns` are those of
    `parts.columns`, `weights` is the hash of the model's."""

    num_frames: int
    precision: Precision
    template: str | None
    labels: LabelSet | None
    top: int
    batch_size: int | None
    columns: Mapping[str, Any]
    weights: str


class Annotator:
    """Frames to rows: a model on a GPU, or on its share of the cores."""

    def __init__(self, model: Any, answering: Answering, device: str, share: int) -> None:
        """`model` is Ray's reference to it."""
        if device == "cpu":
            torch.set_num_threads(share)
        self._answering = answering
        self._recognizer = Recognizer(
            import_module("ray").get(model).to(device),
            num_frames=answering.num_frames,
            precision=answering.precision,
            template=answering.template,
            workers=0,
        )
        self._recognizer.batch_size = answering.batch_size or self._recognizer.batch_size
        self._question = None if answering.labels is None else self._recognizer.question(answering.labels)
        arrow = import_module("pyarrow")
        self._schema = arrow.schema(list(answering.columns.items()))
        self._dtype = answering.columns["vector"].value_type.to_pandas_dtype()
        self._ended = monotonic()

    def __call__(self, batch: Batch) -> Any:
        """The jobs and frames of `decoding.Decoder` -> a table of `Answering.columns`, with the seconds that the model
        `waited` and `worked` for each row."""
        begun = monotonic()
        jobs: list[Job] = [pickle.loads(job) for job in batch["job"]]
        found: list[Decoded | VideoError] = [pickle.loads(frames) for frames in batch["frames"]]
        table = import_module("pyarrow").Table.from_pylist(list(self._rows(jobs, found)), self._schema)
        waited, worked = begun - self._ended, monotonic() - begun
        self._ended = monotonic()
        for name, seconds in (("waited", waited), ("worked", worked)):
            table = table.append_column(name, [[seconds / len(jobs)] * len(jobs)])
        return table

    def _rows(self, jobs: list[Job], found: list[Decoded | VideoError]) -> Iterator[Row]:
        answers = self._answers([Frames.from_arrays(one) for one in found if not isinstance(one, VideoError)])
        for job, one in zip(jobs, found, strict=True):
            video = job.video
            about = {"video": video.name, "source": source_of(video), "start": video.start, "end": video.end}
            about |= {"windows": job.windows, "duration": job.duration, "weights": self._answering.weights}
            yield about | ({"error": str(one)} if isinstance(one, VideoError) else next(answers))

    def _answers(self, clips: list[Frames]) -> Iterator[Row]:
        """The findings of a model in clips, or why there are none."""
        size = self._recognizer.batch_size
        for first in range(0, len(clips), size):
            group = clips[first : first + size]
            features = self._recognizer.encode(group)
            logits = None if self._question is None else self._question.logits(features)
            whole = stack(features).float().cpu()  # (B, 1 + N, E)
            for place, frames in enumerate(group):
                yield self._answer(frames, whole[place], None if logits is None else logits[place])

    def _answer(self, frames: Frames, features: Tensor, logits: Tensor | None) -> Row:
        """The row of one clip: features (1 + N, E), logits (K + background,)."""
        vector = as_vector(frames, features[0])
        if isinstance(vector, VideoError):
            return {"error": str(vector)}
        seen = vector.to_dict()
        row = {"frames": seen["frames"], "warnings": seen.get("warnings")}
        row["vector"] = vector.vector.numpy().astype(self._dtype)
        if "features" in self._answering.columns:
            row["features"] = features.flatten().numpy()
        if self._question is None or logits is None:
            return row
        answer = self._question.answer(frames, logits)
        if isinstance(answer, VideoError):
            return {"error": str(answer)}
        said = answer.to_dict(self._answering.top)
        best = {name: said["predictions"][0].get(name) for name in ("label", "score", "similarity")}
        return row | best | {name: said[name] for name in ("predictions", "accepted", "none")}
