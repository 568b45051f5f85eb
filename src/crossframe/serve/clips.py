"""Clips to try a server with, drawn when they are first asked for: they need no network and belong to nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.long import draw_cast, draw_shots, write_long
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip

SEED = 2026  # of test clips, which count up from 0 elsewhere
PLACES = (0, 5, 10)  # actions of different kinds lie 5 apart
SECONDS = 30.0  # of the long one


@dataclass(frozen=True, slots=True)
class Example:
    """A clip: its name on the page, labels that it may be asked about, and how its file is written."""

    title: str
    labels: tuple[str, ...]
    write: Callable[[Path], object]


def examples() -> dict[str, Example]:
    """A few short clips, and one in which several things happen one after the other, by the names of their files."""
    found: dict[str, Example] = {}
    for number, place in enumerate(PLACES, start=1):
        scene = draw(Split.TEST, SEED, place, nuisance=0)
        others = [text for text in all_sentences(scene).values() if text != sentence(scene)]
        labels = (sentence(scene), *others[:4])
        found[f"example-{number}.mp4"] = Example(f"Example {number}", labels, partial(_write_short, scene))
    cast = draw_cast(SEED)
    found["long.mp4"] = Example("A long one", tuple(member.label for member in cast), _write_long)
    return found


class Shelf:
    """The files of examples in a folder; for any number of threads."""

    def __init__(self, known: Mapping[str, Example], folder: Path) -> None:
        self._known = known
        self._folder = folder
        self._lock = Lock()

    def path(self, name: str) -> Path | None:
        """The file of an example, which is drawn first if need be; None where there is no such example."""
        if name not in self._known:
            return None
        path = self._folder / name
        with self._lock:
            if not path.exists():
                self._known[name].write(path)
        return path


def _write_short(scene: Scene, path: Path) -> None:
    write_clip(scene, path)


def _write_long(path: Path) -> None:
    write_long(path, draw_shots(draw_cast(SEED), SEED, 0, SECONDS))
