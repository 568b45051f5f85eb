"""Checkpoints: folders that `crossframe.load` takes, plus what resuming needs; written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

STATE = "training.pt"


class SaveError(OSError):
    """A checkpoint could not be written; what was saved before is still there."""


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Make `folder` what `write` puts into an empty one; until that is done, and if it fails, the old one stays.

    A process that dies between the two last renames leaves the old folder under another name: see `recover`. Raises
    `SaveError` when the disk is full or does not take the files.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    recover(folder)
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        write(new)
        _sync(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        recover(folder)
        kept = folder.exists()
        remedy = "it is as it was, make room and go on with --resume" if kept else "make room and start again"
        raise SaveError(f"cannot save to {folder}: {reason}; {remedy}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        recover(folder)
        shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Put the old folder back where a process died before the new one stood in its place."""
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)


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


def _beside(folder: Path, word: str) -> Path:
    return folder.with_name(f".{folder.name}.{word}")


def _sync(folder: Path) -> None:
    """Have everything in the folder on the disk, so that no rename can come before its content."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
