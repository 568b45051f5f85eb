"""Questions to an index, in words or by example, and its answers.

Two stages: the clips whose vectors are nearest to the question's, and of the first of these the whole model's score,
whose labels look at the video. That score is `classify`'s own `similarity`, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from crossframe.answers import unstack
from crossframe.archive.hits import Hit
from crossframe.archive.store import PLAIN, Key, Row, Store, Vector
from crossframe.model.xclip import VideoFeatures
from crossframe.recognizer import Recognizer
from crossframe.video.decode import VideoSource, read_video
from crossframe.video.given import File, Video, VideoError, at_hand
from crossframe.weights.saving import fingerprint

TOGETHER = 16  # clips that are asked about labels at once
RERANK = 200  # of the nearest, where that needs no video


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """All clips of an index: their unit `vectors` (n, E), and the `logits` (n, K) that a model gives K labels."""

    rows: list[Row]
    vectors: Vector
    logits: Vector

    @property
    def keys(self) -> list[Key]:
        """The keys of the clips."""
        return [(row["source"], row["start"], row["end"]) for row in self.rows]

    def hit(self, place: int) -> Hit:
        """A clip, with the logit of its best label."""
        return Hit.of(self.rows[place] | {"cosine": float(self.logits[place].max())})


class Finder:
    """An index and the recognizer that made it; for any number of threads, while others add clips or remove them.

    Raises ValueError where the recognizer has other weights.
    """

    def __init__(self, folder: str | Path, recognizer: Recognizer) -> None:
        self.store = Store.open(Path(folder))
        self.recognizer = recognizer
        made, own = self.store.run["weights"], fingerprint(recognizer.model)
        if made != own:
            raise ValueError(
                f"{folder} was made with weights {made[:12]} of {self.store.run['model']}, and these are {own[:12]}; "
                f"search with that model, or make another index"
            )

    def find(
        self,
        words: str | None = None,
        *,
        like: VideoSource | None = None,
        image: File | None = None,
        top: int = 20,
        rerank: int | None = None,
        where: str | None = None,
    ) -> list[Hit]:
        """The `top` clips that fit words, or are like a video or an image, or both, best first.

        The first `rerank` by their vectors, at least `top`, get the whole model's score for the words; 0 for none. By
        default they are `RERANK` where the index has their features, and none where each video would be read again.
        `where` is a condition in SQL on `video`, `source`, `start`, `end`, `duration`, `label` and `score`.
        Raises ValueError for a question without content, or a condition that is none; VideoError where the example
        cannot be read.
        """
        examples = [*([] if like is None else [like]), *([] if image is None else [self._still(image)])]
        if not (words and words.strip()) and not examples:
            raise ValueError("there is no question: give words, or a clip or an image that it should be like")
        if rerank is None:
            rerank = RERANK if self.store.has_features else 0
        rerank = max(top, rerank) if words and rerank else 0
        example = self._example(examples)
        columns = (*PLAIN, *(("features",) if rerank and self.store.has_features else ()))
        if example is not None and rerank:
            columns = (*columns, "vector")
        question = self._question(words, example)
        rows = self.store.nearest(question, max(top, rerank), where=where, columns=columns)
        if not rerank:
            scale = 0.5 if words and example is not None else 1.0
            length = float(np.linalg.norm(question))  # the sum of two unit vectors, whose cosines add up
            return [replace(hit, similarity=hit.similarity * length * scale) for hit in map(Hit.of, rows)]
        hits = list(self._reranked(cast("str", words), rows))
        if example is not None:
            likeness = [float(row["vector"] @ example) for row in rows]
            hits = [replace(h, similarity=(h.similarity + at) / 2) for h, at in zip(hits, likeness, strict=True)]
        return sorted(hits, key=lambda hit: (hit.error is not None, -hit.similarity))[:top]

    def ask(self, labels: Sequence[str], where: str | None = None) -> Asked:
        """The logits of labels for every clip, or for those that a condition fits.

        They are the whole model's where the index has features, else those of the vectors.
        """
        question = self.recognizer.question(labels)
        columns = (*PLAIN, "vector", *(("features",) if self.store.has_features else ()))
        texts = None if self.store.has_features else self.recognizer.embed_texts(labels).numpy().T
        scale = float(self.recognizer.model.logit_scale.detach().exp())
        rows: list[Row] = []
        vectors: list[Vector] = [np.empty((0, self.store.run["width"]), np.float32)]
        logits: list[Vector] = [np.empty((0, len(labels)), np.float32)]
        for group in self.store.groups(columns, where):
            vectors.append(np.stack([row.pop("vector") for row in group]))
            if texts is None:
                parts = [group[at : at + TOGETHER] for at in range(0, len(group), TOGETHER)]
                logits += [question.logits(self._features(part))[:, : len(labels)].numpy() for part in parts]
            else:
                logits.append(scale * vectors[-1] @ texts)
            for row in group:
                row.pop("features", None)
            rows += group
        return Asked(rows, np.concatenate(vectors), np.concatenate(logits))

    def _still(self, image: File) -> Tensor:
        """A picture as a clip in which nothing moves, uint8 (T, 3, H, W)."""
        with at_hand(image) as found:
            data = found.source if isinstance(found.source, bytes) else _content(cast("Path", found.source))
            frames = read_video(Video(data, name=found.name), 1)  # of bytes: by a name FFmpeg would look for a series
        return frames.pixels.expand(self.recognizer.num_frames, -1, -1, -1).contiguous()

    def _example(self, examples: Sequence[VideoSource]) -> Vector | None:
        """The unit vector (E,) of what should be found alike."""
        if not examples:
            return None
        return F.normalize(self.recognizer.embed_videos(examples).sum(dim=0), dim=-1).numpy()

    def _question(self, words: str | None, example: Vector | None) -> Vector:
        """float32 (E,)"""
        parts = [] if example is None else [example]
        if words:
            parts.append(self.recognizer.embed_texts([words])[0].numpy())
        return np.sum(parts, axis=0)

    def _reranked(self, words: str, rows: Sequence[Row]) -> Iterator[Hit]:
        """The rows in their order, with the whole model's similarity."""
        hits = [Hit.of(row) for row in rows]
        if self.store.has_features:
            question, size = self.recognizer.question([words]), self.recognizer.batch_size
            for first in range(0, len(hits), size):  # as many at once as `classify` computes, whose bits these are
                logits = question.logits(self._features(rows[first : first + size]))
                found = question.similarities(logits)
                scores = logits if found is None else found
                for hit, score in zip(hits[first : first + size], scores[:, 0].tolist(), strict=True):
                    yield replace(hit, similarity=score, reranked=True)
            return
        results = self.recognizer.classify_each([hit.to_video() for hit in hits], [words])
        for hit, result in zip(hits, results, strict=True):
            if isinstance(result, VideoError):
                yield replace(hit, error=str(result))
            elif result.similarities is not None:
                yield replace(hit, similarity=float(result.similarities[0]), reranked=True)

    def _features(self, rows: Sequence[Row]) -> VideoFeatures:
        """The features of clips that the index kept."""
        kept = torch.from_numpy(np.stack([row["features"] for row in rows]))
        model = self.recognizer.model
        there = kept.to(model.device, model.dtype).unflatten(1, (-1, self.store.run["width"]))  # (B, 1 + N, E)
        return unstack(there)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
