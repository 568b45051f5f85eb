"""A contact sheet: a strip of frames for every action, to check the whole world at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossframe.shapes import caption
from crossframe.shapes.actions import ACTIONS, COMPOSITES, NEW_ACTIONS
from crossframe.shapes.draw import sample_scene
from crossframe.shapes.render import Pixels, render
from crossframe.shapes.scene import Scene

_GAP = 2  # pixels between frames
_COLUMNS = 2  # of strips


def example_scenes(seed: int = 0) -> list[Scene]:
    """One scene for every action, the new ones included, and for a few composites."""
    names = (*ACTIONS, *NEW_ACTIONS, *(" and ".join(pair) for pair in COMPOSITES[::6]))
    sequences = np.random.SeedSequence(seed).spawn(len(names))
    return [
        sample_scene(np.random.default_rng(sequence), action=name)
        for name, sequence in zip(names, sequences, strict=True)
    ]


def contact_sheet(path: Path, scenes: Sequence[Scene], *, size: int = 96, num_frames: int = 8) -> Path:
    """Write a PNG with a strip of frames, `size` pixels high, and the sentence of each scene; returns its path."""
    from matplotlib.figure import Figure  # part of the extra 'train', and needed for the letters alone

    rows = -(-len(scenes) // _COLUMNS)
    inches = (_COLUMNS * num_frames * (size + _GAP) / 100, rows * (size + 22) / 100)
    figure = Figure(figsize=inches, dpi=100)
    for index, scene in enumerate(scenes):
        row, column = index % rows, index // rows
        box = (column / _COLUMNS, 1 - (row + 1) / rows, 1 / _COLUMNS, size / (size + 22) / rows)
        axes = figure.add_axes(box)
        axes.imshow(_strip(render(scene, size, num_frames)), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(caption.sentence(scene), fontsize=9, pad=3, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    return path


def _strip(frames: Pixels) -> Pixels:
    """Frames (T, 3, H, W) side by side with white gaps, (H, T * (W + gap), 3)."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, _GAP)), constant_values=255)
    return np.concatenate(list(padded.transpose(0, 2, 3, 1)), axis=1)
