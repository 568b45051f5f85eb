"""Clips of what lies between the events of a list: the class of nothing, which a model of timelines must know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest
from crossframe.video.exact import open_video

USUAL = 5.0  # seconds of a clip where no event has both times


def with_between(
    manifest: Manifest, label: str, *, shortest: float = 1.0, longest: float | None = None
) -> tuple[Manifest, int]:
    """The list with further clips of `label`, the stretches of its videos in which no clip lies; and their number.

    Stretches of less than `shortest` seconds are left out, and those longer than `longest` are cut into equal parts; by
    default that is the median length of the events, so that nothing cannot be told by its length. A clip has the split
    of the events of its video. Videos with a clip that has no end are left out.

    Raises VideoError where a video cannot be opened, and ValueError where the label is one of the list.
    """
    if label in manifest.labels:
        raise ValueError(f"{label!r} is a label of the list already; give another name to what lies between")
    lengths = sorted(clip.end - (clip.start or 0.0) for clip in manifest.clips if clip.end is not None)
    most = longest or (lengths[len(lengths) // 2] if lengths else USUAL)
    found = [*_between(manifest, label, min(shortest, most), most)]
    return replace(manifest, clips=(*manifest.clips, *found), labels=(*manifest.labels, label)), len(found)


def _between(manifest: Manifest, label: str, shortest: float, most: float) -> Iterator[Clip]:
    of_video: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in manifest.clips:
        of_video[clip.path].append(clip)
    for path, clips in of_video.items():
        if any(clip.end is None for clip in clips):
            continue
        with open_video(manifest.locate(clips[0])) as video:
            length = video.duration
        free = 0.0
        for start, end in [*sorted((clip.start or 0.0, clip.end or 0.0) for clip in clips), (length, length)]:
            room = start - free
            if room >= shortest:
                count = max(round(room / most), 1)
                for part in range(count):
                    begin, stop = (round(free + room * edge / count, 3) for edge in (part, part + 1))
                    yield Clip(path, label, clips[0].split, begin, stop, clips[0].group)
            free = max(free, end)
