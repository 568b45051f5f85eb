"""Clips to try a server with, drawn when it starts: they need no network and belong to nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip

SEED = 2026  # of test clips, which count up from 0 elsewhere
PLACES = (0, 5, 10)  # actions of different kinds lie 5 apart


@dataclass(frozen=True, slots=True)
class Example:
    """A clip, what it shows, and labels that it may be asked about."""

    path: Path
    truth: str
    labels: tuple[str, ...]


def draw_examples(folder: Path) -> list[Example]:
    """A few clips of drawn shapes in `folder`."""
    found: list[Example] = []
    for number, place in enumerate(PLACES, start=1):
        scene = draw(Split.TEST, SEED, place, nuisance=0)
        path = write_clip(scene, folder / f"example-{number}.mp4")
        others = [text for text in all_sentences(scene).values() if text != sentence(scene)]
        found.append(Example(path, sentence(scene), (sentence(scene), *others[:4])))
    return found
