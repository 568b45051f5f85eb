"""ActivityNet: one JSON file of videos and what they show from when to when, and `v_ID.mp4` or `ID.mp4`.

The training and validation parts have annotations; the videos of the testing part have none, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crossframe.data.annotations import Segment, database_of, place_segments, read_segments
from crossframe.data.clip import Clip
from crossframe.data.importers.imported import Imported, Tree, collect, read_lists
from crossframe.text.reading import read_values


def import_activitynet(root: Path, annotations: Path | None = None) -> Imported:
    """The stretches of all JSON files of annotations below `annotations`, or below `root`."""
    videos, lists = read_lists(root, annotations)
    segments = segments_of(lists.lists)
    if not segments:
        raise ValueError(f"{lists.root} has no .json of ActivityNet's annotations; give the file with --annotations")
    return collect(placed(segments, videos), sorted({one.label for one in segments}), videos.root)


def segments_of(lists: Sequence[Path]) -> list[Segment]:
    """The stretches of those files that are JSON of annotations."""
    found: list[Segment] = []
    for path in lists:
        if path.suffix.lower() == ".json" and (database := database_of(read_values(path))) is not None:
            found += read_segments(path, database)
    return found


def placed(segments: Sequence[Segment], videos: Tree) -> list[tuple[Clip, str | None]]:
    """Each stretch as a clip, and where its file is."""

    def find(name: str) -> str | None:
        path = videos.find(name, "", ())
        return None if path is None else path.relative_to(videos.root).as_posix()

    return [
        (clip or Clip(one.video, one.label, one.split, one.start, one.end, one.video), clip and clip.path)
        for one, clip in place_segments(segments, find)
    ]
