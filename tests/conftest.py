"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def golden() -> Path:
    """The folder of reference numbers from the authors' code that a fresh clone carries."""
    return GOLDEN


@pytest.fixture
def shared() -> Path:
    """The folder of real clips and the full reference data, where it stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real clips and full reference data is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Every test starts from the same random state and leaves none behind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
