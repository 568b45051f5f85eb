"""Checkpoints: folders that `crossframe.load` takes, plus what resuming needs; written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from crossframe.files import replace_folder

STATE = "training.pt"


class SaveError(OSError):
    """A checkpoint could not be written; what was saved before is still there."""


def save_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Make `folder` what `write` puts into an empty one; until that is done, and if it fails, the old one stays.

    Raises `SaveError` when the disk is full or does not take the files.
    """
    try:
        replace_folder(folder, write)
    except OSError as error:
        reason = error.strerror or str(error)
        kept = folder.exists()
        remedy = "it is as it was, make room and go on with --resume" if kept else "make room and start again"
        raise SaveError(f"cannot save to {folder}: {reason}; {remedy}") from error


def save_state(state: Mapping[str, Any], folder: Path) -> None:
    """Write what resuming needs into a checkpoint's folder."""
    try:
        torch.save(dict(state), folder / STATE)
    except RuntimeError as error:  # of torch's own, which does not say what the system said
        raise OSError(f"the disk did not take all of {STATE}") from error


def load_state(folder: Path) -> dict[str, Any]:
    """Read what resuming needs, on the CPU; nothing in the file can run code."""
    path = folder / STATE
    if not path.is_file():
        raise ValueError(f"{folder} holds nothing to resume from ({STATE} is missing); start without --resume")
    return torch.load(path, map_location="cpu", weights_only=True)
