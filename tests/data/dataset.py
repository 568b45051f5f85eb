"""A small data set of real clips whose frames say which frames they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.video.clips import write_clip

CLASSES = ("clapping", "jumping", "waving")
FRAMES = 20
STEP = 12  # gray levels from one frame to the next, more than compression blurs


def write_dataset(folder: Path, per_class: int = 3, *, broken: str | None = "jumping/1.mp4") -> Path:
    """A folder for each class with clips of two sizes; `broken` is replaced by text."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            write_numbered(folder / name / f"{number}.mp4", width=48 if number % 2 else 32)
    if broken:
        (folder / broken).write_text("this is not a video")
    return folder


def write_numbered(path: Path, *, width: int = 32, rate: int = 10) -> Path:
    """A clip of 2 seconds whose frame t is gray of level 12 t."""
    levels = np.arange(FRAMES, dtype=np.uint8) * STEP
    return write_clip(path, frames=np.broadcast_to(levels[:, None, None, None], (FRAMES, 32, width, 3)), rate=rate)


def numbers(pixels: Tensor) -> list[int]:
    """Which frames these are: (T, 3, H, W) -> T numbers."""
    return (pixels.float().mean(dim=(1, 2, 3)) / STEP).round().to(torch.int64).tolist()
