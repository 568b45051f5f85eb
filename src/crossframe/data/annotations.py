"""Annotations of stretches of videos as JSON: ActivityNet's, and Kinetics' as DeepMind publishes it.

ActivityNet has a table `database`: for each video a `subset` and `annotations`, each a `segment` of two times in
seconds and a `label`. Kinetics has such a table by itself, with one annotation a video, whose clips are usually cut
already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossframe.data.clip import Clip
from crossframe.data.lists import split_named
from crossframe.text.labels import some

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video that shows `label`, in seconds."""

    video: str
    label: str
    split: str
    start: float
    end: float

    @property
    def cut(self) -> str:
        """The name of the file that holds this stretch alone, without its ending."""
        return f"{self.video}_{int(self.start):06d}_{int(self.end):06d}"


def database_of(values: Any) -> Mapping[str, Any] | None:
    """The table of videos in what a JSON file holds; None where it has none."""
    table = values.get("database", values) if isinstance(values, dict) else None
    fits = isinstance(table, dict) and table and all(isinstance(v, dict) and "annotations" in v for v in table.values())
    return table if fits else None


def read_segments(source: Path, database: Mapping[str, Any]) -> list[Segment]:
    """All annotated stretches, in order; those that last no time are left out, with a warning.

    Raises ValueError, in one line that names the video, for anything that is no annotation.
    """
    found: dict[Segment, None] = {}  # some are published twice
    empty: list[str] = []
    for video, about in database.items():
        given = about["annotations"]
        for annotation in [given] if isinstance(given, dict) else given:
            try:
                start, end = (float(time) for time in annotation["segment"])
                label = str(annotation["label"]).strip()
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    f"{source}: video {video!r} has the annotation {str(annotation)[:80]}, and not a label and a "
                    f"segment [start, end]; get the file again"
                ) from None
            if max(start, 0.0) < end:
                found[Segment(video, label, split_named(str(about.get("subset", ""))), max(start, 0.0), end)] = None
            else:
                empty.append(video)
    if empty:
        log.warning("%s: %d segments last no time and are left out: %s", source, len(empty), some(empty))
    if not found:
        raise ValueError(f"{source} lists no clips: none of its {len(database)} videos is annotated")
    return list(found)


def place_segments(
    segments: Sequence[Segment], find: Callable[[str], str | None]
) -> Iterator[tuple[Segment, Clip | None]]:
    """Each segment with its clip, whose file `find` knows by its name without the ending, or None.

    A file that holds the stretch alone is a clip by itself; a whole video (`ID`, or ActivityNet's `v_ID`) is one from
    start to end.
    """
    for one in segments:
        if cut := find(one.cut):
            yield one, Clip(cut, one.label, one.split, group=one.video)
        elif whole := find(f"v_{one.video}") or find(one.video):
            yield one, Clip(whole, one.label, one.split, one.start, one.end, group=one.video)
        else:
            yield one, None
