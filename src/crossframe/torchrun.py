"""What torchrun tells each process that it starts."""

from __future__ import annotations

import os


def launched() -> tuple[int, int]:
    """(rank, world size) of this process, known before processes connect; (0, 1) without torchrun."""
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if "LOCAL_RANK" in os.environ else (0, 1)
