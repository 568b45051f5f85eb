"""Clips that are written once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.video.clips import write_clip
from tests.video.kinds import KINDS


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`clip(name)` is the path of a clip of one of `kinds.KINDS`."""
    folder = tmp_path_factory.mktemp("clips")

    @cache
    def write(name: str) -> Path:
        return write_clip(folder / name, **KINDS[name])

    return write
