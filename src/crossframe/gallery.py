"""The page about one's own results: the clips that `classify` named, with the frames that the model saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import crossframe
from crossframe import pages
from crossframe.files import write_text
from crossframe.prediction import on_page, pictures_of

SHOWN = 100  # clips with pictures, and files without an answer
LABELS = 24  # with how often each was the best
NONE = "none of the labels"


class Gallery:
    """Collects records as `Prediction.to_dict` makes them, or with an `error`, and writes them as a page.

    Memory does not grow with their number: the first `SHOWN` are shown, all are counted.
    """

    def __init__(self) -> None:
        self._named: list[dict[str, Any]] = []
        self._failed: list[dict[str, Any]] = []
        self._labels: Counter[str] = Counter()
        self._failures = 0
        self._count = 0  # of videos with an answer

    @classmethod
    def of(cls, records: Iterable[dict[str, Any]]) -> Self:
        """All of `records`."""
        gallery = cls()
        for record in records:
            gallery.add(record)
        return gallery

    def add(self, record: dict[str, Any]) -> None:
        """Take up a record, with `video`, and `predictions` and `frames`, or an `error`."""
        failed = "error" in record
        kept = self._failed if failed else self._named
        if len(kept) < SHOWN:
            kept.append(record)
        if failed:
            self._failures += 1
        else:
            self._count += 1
            best = record["predictions"][0]["label"]
            self._labels.update(record.get("accepted", [best]) or [NONE])

    def write(self, path: Path, made_with: Mapping[str, Any]) -> None:
        """Write the page. Pictures are read from the files once more; the page says which have gone."""
        named = self._count
        among = f"each among {len(made_with['labels']):,} labels"
        lead = f"{named:,} of {named + self._failures:,} videos were named, {among}."
        if named > len(self._named):
            lead += f" The first {len(self._named)} are shown."
        write_text(
            path,
            pages.render(
                "gallery",
                title="What happens in these clips?",
                lead=lead,
                labels=[(label, count, count / named) for label, count in self._labels.most_common(LABELS)],
                more=max(0, len(self._labels) - LABELS),
                clips=map(_clip, self._named),
                failures=[{"path": record["video"], "reason": record["error"]} for record in self._failed],
                failures_lead=f"{self._failures:,} file{'s' * (self._failures > 1)} could not be read."
                + (f" The first {SHOWN} are listed." if self._failures > SHOWN else ""),
                made_with=[(name.replace("_", " "), value) for name, value in made_with.items() if _is_short(value)],
                foot=f"Made by crossframe {crossframe.__version__}.",
            ),
        )


def _clip(record: dict[str, Any]) -> pages.Clip:
    return on_page(record, *pictures_of(record["video"], record["frames"]["indices"]))


def _is_short(value: object) -> bool:
    return isinstance(value, (str, int, float))
