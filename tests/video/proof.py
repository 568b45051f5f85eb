"""What is read by a plan beside what is read without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossframe.video import exact
from crossframe.video.exact import Decoded
from crossframe.video.media import open_media
from crossframe.video.plan import scan
from crossframe.video.sample import Choice


def is_proven(path: Path) -> bool:
    with open_media(path, path.name) as media:
        return scan(media).plan is not None


def read_fully(source: Path | bytes, indices: list[int] | Choice, monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """What `read_arrays` gives when nothing is planned."""
    with monkeypatch.context() as patch:
        patch.setattr(exact, "scan", lambda media: replace(scan(media), plan=None))
        return exact.read_arrays(source, indices=indices)


def assert_same(read: Decoded, full: Decoded) -> None:
    assert np.array_equal(read.pixels, full.pixels)
    assert np.array_equal(read.times, full.times)
    assert np.array_equal(read.damaged, full.damaged)
    assert (read.total, read.missing) == (full.total, full.missing)
