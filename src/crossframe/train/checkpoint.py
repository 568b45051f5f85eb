"""The folder of a run: recipe, environment, summary, `logs/`, and the checkpoints `last/` and `best/`.

A checkpoint is a folder that `crossframe.load` takes, plus what resuming needs, written whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from crossframe.evaluate.result import ENVIRONMENT, SUMMARY, environment
from crossframe.files import check_writable, recover, replace_folder, write_json, write_text, written_alone
from crossframe.recipes.load import RECIPE, dump_recipe, load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.weights.sources import BEST, LAST

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


class RunFolder:
    """The folder `path`. Only the process with `writes` writes to it."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path = path
        self.last = path / LAST
        self.best = path / BEST
        self.writes = writes

    def recipe_to_resume(self) -> Recipe:
        """The recipe that the run was started with."""
        path = self.path / RECIPE
        if not path.is_file():
            raise ValueError(f"{self.path} has no checkpoint 'last' to go on from; start without --resume")
        return load_recipe(path)

    def check_room(self, last: int, best: int) -> None:
        """Raise `SaveError` now, rather than after the first epoch, where the disk has no room for the checkpoints.

        `last` and `best`: bytes of each; the old `last` stays until the new one is whole.
        """
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        needed, free = 2 * last + best, shutil.disk_usage(self.path).free
        if free < needed:
            raise SaveError(
                f"{self.path}: its checkpoints need {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free on the "
                "disk; make room or give another folder"
            )

    @contextmanager
    def held(self) -> Generator[None]:
        """Inside, no other run may be trained into the folder. Raises ValueError where one is."""
        if not self.writes:
            yield
            return
        check_writable(self.path)
        with written_alone(self.path):
            yield

    def recover(self) -> None:
        """Put the checkpoint in its place where a process died while it was replaced."""
        if self.writes:
            recover(self.last)

    def check(self, *, resume: bool) -> None:
        """Raise ValueError where there is nothing to go on from, or a run already, OSError for no place to write to."""
        if resume and not self.last.is_dir():
            raise ValueError(f"{self.path} has no checkpoint 'last' to go on from; start without --resume")
        if not resume and self.last.is_dir():
            raise ValueError(f"{self.path} holds a run already; give another folder, or --resume to go on with it")
        if self.writes:
            check_writable(self.path)

    def loggers(self) -> list[Logger]:
        """A CSV file and TensorBoard's."""
        if not self.writes:
            return []
        logs = self.path / "logs"
        return [CSVLogger(logs, name="csv", flush_logs_every_n_steps=1), TensorBoardLogger(logs, name="tensorboard")]

    def begin(self, recipe: Recipe, fabric: Fabric) -> None:
        """Write the recipe and the environment."""
        if self.writes:
            write_text(self.path / RECIPE, dump_recipe(recipe))
            write_json(self.path / ENVIRONMENT, environment(fabric.device, fabric.world_size))

    def end(self, summary: dict[str, Any]) -> None:
        """Write the summary."""
        if self.writes:
            write_json(self.path / SUMMARY, summary)

    def save(self, folder: Path, write: Callable[[Path], None]) -> None:
        """Make `folder` what `write` puts into an empty one, and the run's recipe, whole or not at all."""

        def write_all(empty: Path) -> None:
            write(empty)
            shutil.copyfile(self.path / RECIPE, empty / RECIPE)

        if self.writes:
            save_folder(folder, write_all)

    def state(self) -> dict[str, Any]:
        """The state that the last checkpoint keeps for resuming."""
        return load_state(self.last)
