"""Clips that a model was trained on, known again by what their files hold, whatever they are called.

A file is known by its size and the bytes at both of its ends, which name every frame's place in it: that is quick, on
network drives too. A file that was encoded anew is another file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossframe.data.manifest import Manifest
from crossframe.taught import CLIP
from crossframe.video.given import member

END = 1 << 16  # bytes at each end
READERS = 8  # files read at a time: they are waited for, more than worked on
UNKNOWN = 0  # of a file that cannot be read


def marks(manifest: Manifest) -> NDArray[np.void]:
    """Keys that identify the clips of a manifest, of dtype `CLIP`, (N,), in their order."""
    paths = dict.fromkeys(manifest.locate(clip) for clip in manifest.clips)
    with ThreadPoolExecutor(READERS) as threads:
        files = dict(zip(paths, threads.map(file_mark, paths), strict=True))
    rows = [
        (files[manifest.locate(clip)], clip.start or 0.0, np.inf if clip.end is None else clip.end)
        for clip in manifest.clips
    ]
    return np.array(rows, CLIP)


def file_mark(path: Path) -> int:
    """64 bits of the content of a file, or of a part of an archive; `UNKNOWN` where it cannot be read."""
    part = member(path)
    try:
        with (path if part is None else part.archive).open("rb") as file:
            start = 0 if part is None else part.offset
            size = file.seek(0, 2) if part is None else part.size
            state = hashlib.blake2b(str(size).encode(), digest_size=8)
            for place in sorted({start, max(start, start + size - END)}):
                file.seek(place)
                state.update(file.read(min(END, start + size - place)))
    except OSError:
        return UNKNOWN
    return int.from_bytes(state.digest(), "little")


def join(parts: Iterable[NDArray[np.void] | None]) -> NDArray[np.void]:
    """All clips that can be known again, sorted, each once."""
    found = np.concatenate([np.empty(0, CLIP), *(part for part in parts if part is not None)])
    return np.unique(found[found["file"] != UNKNOWN])


def seen(clips: NDArray[np.void], known: NDArray[np.void] | None) -> NDArray[np.bool_]:
    """Which of `clips` overlap one of the `known` ones, bool (N,). `known` is sorted."""
    if known is None or not len(known):
        return np.zeros(len(clips), np.bool_)
    first = np.searchsorted(known["file"], clips["file"], "left")
    last = np.searchsorted(known["file"], clips["file"], "right")
    return np.array(
        [
            clip["file"] != UNKNOWN
            and bool(((known["start"][a:b] < clip["end"]) & (clip["start"] < known["end"][a:b])).any())
            for clip, a, b in zip(clips, first, last, strict=True)
        ],
        np.bool_,
    )
