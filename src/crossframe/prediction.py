"""The answers of a recognizer about one video, and how they show themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from math import isnan
from typing import Any

from torch import Tensor

from crossframe import pages
from crossframe.video.decode import Frames, Seen, problems
from crossframe.video.exact import read_arrays
from crossframe.video.given import VideoError


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer for one video: a score for every label, in the order of the labels given.

    `scores` (K,) are probabilities. Among labels that compete they add up to one, together with what background words
    take; labels that are scored by themselves do not share. `similarities` (K,) are cosines between video and label; a
    model with a linear head has none. `groups` names each label's group, where there are any. `counted` are the labels
    that count, by index, best first; None where nothing was asked of them and the best one counts.
    `frames` says which frames were seen: `indices`, `times`, `total`, `damaged`. `pixels`, uint8 (T, 3, H, W) as the
    model got them before it cut and scaled them, are kept only where they were asked for.
    """

    video: str
    labels: tuple[str, ...]
    scores: Tensor
    similarities: Tensor | None
    frames: Seen | Frames
    pixels: Tensor | None = None
    groups: tuple[str, ...] = ()
    counted: tuple[int, ...] | None = None

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k best labels and their scores, best first. Labels with equal scores keep their order."""
        return [(self.labels[i], float(self.scores[i])) for i in self.ranking()[:k]]

    @property
    def label(self) -> str:
        """The best label, whether it is accepted or not."""
        return self.labels[self.ranking()[0]]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The labels that count, best first: those that reach their thresholds and fit better than the background."""
        return (self.label,) if self.counted is None else tuple(self.labels[place] for place in self.counted)

    @property
    def none(self) -> bool:
        """True if the answer is none of the labels."""
        return not self.accepted

    def __repr__(self) -> str:
        best = ", ".join(f"{label!r} {score:.1%}" for label, score in self.top(3))
        best = f"none of {best}" if self.none else best
        more = f", {len(self.labels) - 3} more" if len(self.labels) > 3 else ""
        return f"Prediction({self.video!r}: {best}{more})"

    def _repr_html_(self) -> str:
        """The film strip and bars, in a notebook."""
        return pages.render("notebook", each=self.on_page(5))

    def on_page(self, top: int = 5, truth: str = "") -> pages.Clip:
        """The `top` best labels beside pictures of the frames that were seen, kept or read from the file once more."""
        if self.pixels is not None:
            return on_page(self.to_dict(top), pages.strip(self.pixels), truth=truth)
        return on_page(self.to_dict(top), *pictures_of(self.video, self.frames.indices.tolist()), truth=truth)

    def to_dict(self, top: int | None = None) -> dict[str, Any]:
        """Plain values, ready for JSON: the `top` best labels with their scores and groups, those that are `accepted`,
        whether the answer is `none` of them, and the frames that were seen.

        `warnings`, lines about a damaged or short video, is there if there are any.
        """
        similar = self.similarities
        return {
            **self.about(),
            "predictions": [
                {
                    "label": self.labels[i],
                    "score": float(self.scores[i]),
                    "similarity": None if similar is None else float(similar[i]),
                    **({"group": self.groups[i]} if self.groups else {}),
                }
                for i in self.ranking()[:top]
            ],
            "accepted": list(self.accepted),
            "none": self.none,
            **_seen(self.frames),
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of all labels, best first: `video`, times of a part, `label`, `score`, `similarity`."""
        pandas = import_module("pandas")
        return pandas.DataFrame([{**self.about(), **entry} for entry in self.to_dict()["predictions"]])

    def about(self) -> dict[str, Any]:
        """The subject of the answer: `video`, and `start` and `end` where a part of it was asked for."""
        return _about(self.video, self.frames)

    def ranking(self) -> list[int]:
        """Label indices, best first."""
        return self.scores.argsort(descending=True, stable=True).tolist()


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One video as a vector: `vector` float32 (E,) of unit length, and which `frames` it was made of."""

    video: str
    vector: Tensor
    frames: Seen | Frames

    def __repr__(self) -> str:
        return f"Embedding({self.video!r}: {len(self.vector)} numbers)"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: `video`, `vector`, `frames`, and `warnings` if there are any."""
        return {**_about(self.video, self.frames), "vector": self.vector.tolist(), **_seen(self.frames)}


def _about(video: str, frames: Seen | Frames) -> dict[str, Any]:
    times = {"start": frames.start, "end": frames.end}
    return {"video": video, **{name: time for name, time in times.items() if time is not None}}


def _seen(frames: Seen | Frames) -> dict[str, Any]:
    """The frames that were seen, and their faults."""
    wrong = problems(frames)
    return {
        "frames": {
            "indices": frames.indices.tolist(),
            "times": [None if isnan(time) else time for time in frames.times.tolist()],
            "total": frames.total,
            "damaged": int(frames.damaged.sum()),
        },
        **({"warnings": wrong} if wrong else {}),
    }


def on_page(record: dict[str, Any], pictures: list[str], problem: str = "", truth: str = "") -> pages.Clip:
    """A record of `Prediction.to_dict` beside pictures of its frames, or the `problem` that they have."""
    best = record["predictions"]
    accepted = set(record.get("accepted", [best[0]["label"]]))
    usual = accepted == {best[0]["label"]} and "group" not in best[0]  # that the best one counts need not be said
    return pages.Clip(
        title(record),
        [(in_group(each["label"], each.get("group")), each["score"]) for each in best],
        truth,
        pictures,
        problem,
        record.get("warnings", ()),
        [in_group(each["label"], each.get("group")) for each in best if each["label"] in accepted and not usual],
        none=not accepted,
    )


def title(about: dict[str, Any]) -> str:
    """The video's name, and which part of it was looked at."""
    begin, end = about.get("start"), about.get("end")
    if begin is None and end is None:
        return about["video"]
    return f"{about['video']}, {begin or 0:g} s to {'the end' if end is None else f'{end:g} s'}"


def in_group(label: str, group: str | None) -> str:
    """A label as people read it, after the name of its group."""
    return f"{group}: {label}" if group else label


def pictures_of(video: str | os.PathLike[str], indices: list[int] | None) -> tuple[list[str], str]:
    """A film strip of these frames of a file, None for eight of the whole, and what kept it from being made."""
    if str(video) == "-" or (str(video)[0], str(video)[-1]) == ("<", ">"):  # from standard input, or from memory
        return [], "its pixels were not kept; classify with keep_pixels=True"
    try:
        decoded = read_arrays(video, indices=indices, short_side=pages.PICTURE_SIDE)
    except VideoError as error:
        return [], str(error)
    return pages.strip(Frames.from_arrays(decoded).pixels), ""
