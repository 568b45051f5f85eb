"""A run's folder: `recipe.yaml`, `environment.json`, `summary.json`, `logs/`, and the checkpoints `last/` and `best/`.

Every process knows the folder, and the first alone writes to it.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

import crossframe
from crossframe.data.atomic import replacing
from crossframe.recipes.load import dump_recipe, load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.train.checkpoint import load_state, recover, replace_folder


class RunFolder:
    """The folder `path`, for the process that writes (`writes`) or one that only reads."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path = path
        self.last = path / "last"
        self.best = path / "best"
        self.writes = writes

    def recipe_to_resume(self) -> Recipe:
        """The recipe that the run was started with."""
        path = self.path / "recipe.yaml"
        if not path.is_file():
            raise ValueError(f"{self.path} has no checkpoint 'last' to go on from; start without --resume")
        return load_recipe(path)

    def recover(self) -> None:
        """Put the checkpoint in its place where a process died while it was replaced."""
        if self.writes:
            recover(self.last)

    def check(self, *, resume: bool) -> None:
        """Raise ValueError where there is nothing to go on from, or a run already."""
        if resume and not self.last.is_dir():
            raise ValueError(f"{self.path} has no checkpoint 'last' to go on from; start without --resume")
        if not resume and self.last.is_dir():
            raise ValueError(f"{self.path} holds a run already; give another folder, or --resume to go on with it")

    def loggers(self) -> list[Logger]:
        """A CSV file and TensorBoard's."""
        if not self.writes:
            return []
        logs = self.path / "logs"
        return [CSVLogger(logs, name="csv", flush_logs_every_n_steps=1), TensorBoardLogger(logs, name="tensorboard")]

    def begin(self, recipe: Recipe, fabric: Fabric) -> None:
        """Write down what is run, and where."""
        self._write("recipe.yaml", dump_recipe(recipe))
        self._write("environment.json", _json(environment(fabric)))

    def end(self, summary: dict[str, Any]) -> None:
        """Write down how it went."""
        self._write("summary.json", _json(summary))

    def save(self, folder: Path, write: Callable[[Path], None]) -> None:
        """Make `folder` what `write` puts into an empty one, whole or not at all."""
        if self.writes:
            replace_folder(folder, write)

    def state(self) -> dict[str, Any]:
        """What the last checkpoint keeps for resuming."""
        return load_state(self.last)

    def _write(self, name: str, text: str) -> None:
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.path / name) as target:
            target.write_text(text, encoding="utf-8")


def environment(fabric: Fabric) -> dict[str, Any]:
    """What a result depends on beside the recipe."""
    device = fabric.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "crossframe": crossframe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "device": f"{device.type}: {name}",
        "processes": fabric.world_size,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
