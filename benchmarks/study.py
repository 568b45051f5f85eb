"""What studies share: train variants of a recipe with several seeds, measure each on Shapes, and take means.

Every finished run is kept in its folder and not repeated, so a study that was stopped goes on where it was. What
variants have in common, the clips of a seed's batches and those of the tests, is drawn once (`drawn_once`), which
changes nothing in them. With --save the scores of every seed go to benchmarks/results, where the tables of the docs
come from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from benchmarks.harness import RESULTS, check_committed, environment, mean_and_spread
from crossframe import load
from crossframe.data.drawn import Clips
from crossframe.evaluate import shapes
from crossframe.evaluate.shapes import evaluate_shapes
from crossframe.recipes.load import load_recipe
from crossframe.shapes import VERSION
from crossframe.train.run import train

SPLITS = ("test", "unseen", "zero_shot")
CLIPS = 550  # of each split
KINDS = ("action", "opposite", "color", "shape")

Scores = dict[str, float]  # by split and kind of question: "unseen action"
Tables = Mapping[str, Mapping[str, Sequence[Scores]]]  # by title and variant, of every seed


@contextmanager
def drawn_once(runs: Path) -> Generator[None]:
    """Inside, a batch of clips and the frames of a test clip are made the first time that they are asked for, and kept
    on disk (about 2 GB for each seed of a study of 600 steps) until the end."""
    runs.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="drawn-", dir=runs) as folder:
        batch, frames = _kept(Clips.batch, Path(folder)), _kept(shapes.frames_of, Path(folder))
        with patch.object(Clips, "batch", batch), patch.object(shapes, "frames_of", frames):
            yield


def _kept(make: Callable[[Any, int], Any], folder: Path) -> Callable[[Any, int], Any]:
    """`make` of something plain and a number, with the results in files."""

    def kept(of: Any, number: int) -> Any:
        path = folder / hashlib.sha256(pickle.dumps((make.__qualname__, of, number))).hexdigest()
        if not path.is_file():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(pickle.dumps(make(of, number)))
            part.replace(path)
        return pickle.loads(path.read_bytes())

    return kept


def trained(recipe: str, changes: Sequence[str], init: Path | str | None, out: Path, seed: int) -> Path:
    """The last weights of a run, which is started, gone on with, or found finished."""
    if not (out / "summary.json").is_file():
        settings = [*changes, f"train.seed={seed}", f"data.seed={seed}"]
        train(load_recipe(recipe, settings), out, init=init, resume=(out / "last").is_dir())
    return out / "last"


def measured(weights: Path, out: Path, clips: int = CLIPS) -> Scores:
    """Accuracies of these weights on unseen clips, by split and kind of question."""
    scores: Scores = {}
    for split in SPLITS:
        folder = out / split
        path = folder / "summary.json"
        if not path.is_file():
            evaluate_shapes(load(weights, device="cpu"), split, clips).save(folder)
        summary = json.loads(path.read_text())
        scores.update({f"{split} {kind}": summary[kind] for kind in KINDS})
    return scores


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser with what all studies take."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="keep the scores of every seed in benchmarks/results")
    return parser


def parsed(parser: argparse.ArgumentParser, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options given. What would be saved must be of a commit."""
    arguments = parser.parse_args(words)
    if arguments.save:
        check_committed(parser)
    return arguments


def keep(study: str, tables: Tables, arguments: argparse.Namespace) -> None:
    """Print the scores of every seed as one line of JSON; with `--save`, write it to benchmarks/results/STUDY.json too.

    With them go the world that they were measured in, the commit and the options, which the docs' tables say
    (`python -m benchmarks.tables`).
    """
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    found = {"study": study, "world": VERSION, "options": given, "environment": environment(), "runs": tables}
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{study}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


def show(runs: Mapping[str, Sequence[Scores]], columns: Sequence[str]) -> None:
    """Print means and deviations over the runs that have a score for a column, as a Markdown table."""
    print("| variant | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, seeds in runs.items():
        cells = (mean_and_spread([scores[column] for scores in seeds if column in scores]) for column in columns)
        print(f"| {name} | " + " | ".join(cells) + " |")
