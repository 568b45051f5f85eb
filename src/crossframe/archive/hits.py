"""The clips that an index answers with, and how they show themselves: as JSON, as a list for training, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crossframe
from crossframe.archive.store import Row
from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest, write_manifest
from crossframe.files import write_text
from crossframe.video.given import Video, address_of

UNLABELED = "unlabeled"
MADE_BY = ("model", "weights", "precision", "num_frames", "index", "where")


@dataclass(frozen=True, slots=True)
class Hit:
    """A clip that was found.

    `similarity` is the cosine with the question: with words that of the whole model where `reranked`, else that of the
    vectors; of words together with an example, the mean of both. `label` and `score` are those that the index has of
    it, `source` is where it is read from, and `error` says why it could not be read again.
    """

    video: str
    source: str
    start: float | None
    end: float | None
    similarity: float
    reranked: bool = False
    label: str | None = None
    score: float | None = None
    frames: tuple[int, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, row: Row) -> Hit:
        """A row that the first stage found."""
        named = {name: row[name] for name in ("video", "source", "start", "end", "label", "score")}
        return cls(**named, similarity=row["cosine"], frames=tuple(row["frames"] or ()))

    @property
    def name(self) -> str:
        """The video's name, with the times of a part as a media fragment."""
        return Clip(self.video, "-", start=self.start, end=self.end).name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not known is left out."""
        known = {name: getattr(self, name) for name in ("video", "start", "end", "similarity", "reranked")}
        known |= {"label": self.label, "score": self.score, "frames": list(self.frames), "error": self.error}
        return {name: value for name, value in known.items() if value not in (None, [])}

    def to_video(self) -> Video:
        """The clip, to be read."""
        return Video(self.source, self.start, self.end, self.video)


def write_list(path: Path, hits: Sequence[Hit], label: str | None) -> int:
    """Write clips as a list that training reads, .csv or .parquet, with this label, or else those of the index.

    Left out are those that are no files of this machine; returns how many are in it.
    """
    clips = [
        Clip(hit.source, label or hit.label or UNLABELED, start=hit.start, end=hit.end)
        for hit in hits
        if address_of(hit.source) is None
    ]
    labels = dict.fromkeys(name for clip in clips for name in clip.labels)
    write_manifest(Manifest(tuple(clips), tuple(labels), Path("/")), path)
    return len(clips)


def write_page(path: Path, hits: Sequence[Hit], asked: str, about: Mapping[str, Any]) -> None:
    """Write a page of film strips. Pictures are read from the files once more; the page says which have gone."""
    from crossframe import pages
    from crossframe.prediction import pictures_of

    best = max((hit.similarity for hit in hits), default=0.0)
    answers = f"{len(hits)} clip{'s' * (len(hits) != 1)}" if hits else "No clip"
    write_text(
        path,
        pages.render(
            "found",
            title=asked,
            lead=f"{answers} of {about['rows']:,} in the index, best first.",
            best=best if best > 0 else 1.0,
            hits=[(hit, *pictures_of(hit.source, list(hit.frames) or None)) for hit in hits],
            made_with=[(name.replace("_", " "), about[name]) for name in MADE_BY if about.get(name)],
            foot=f"Made by crossframe {crossframe.__version__}.",
        ),
    )
