"""The data set that the tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.dataset import write_dataset


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three clips, `jumping/1.mp4` broken. Nobody writes here."""
    return write_dataset(tmp_path_factory.mktemp("data") / "set")
