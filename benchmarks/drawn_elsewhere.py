"""Accuracies on clips that our renderer did not draw: by Pillow, from first to last, one difficulty at a time.

    python -m benchmarks.drawn_elsewhere shapes --out runs/drawn-elsewhere

A row is 66 clips, three of each of the 22 actions (spins, growing and bouncing alone where that is what is hard), all
written as H.264 files by PyAV and read as any video. Each is asked which of the actions its object could do it shows,
among 20 or 22. Photos are those that scikit-learn and matplotlib bring along; no training has seen them. `--out` keeps
the clips for a person to look at, and `clips.csv` with what was said of each.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import cos, pi, sin
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from PIL import Image

from benchmarks.pillow_drawings import COLORS, DARK, SHAPES, SIDE, Figure, draw, photo, pick, plain
from crossframe import Recognizer

FRAMES, RATE = 32, 16
SAME_HOWEVER_TURNED = ("circle", "ring")
ALONE = (
    "moving right", "moving left", "moving down", "moving up", "growing", "shrinking", "spinning clockwise",
    "spinning anticlockwise", "circling clockwise", "circling anticlockwise", "appearing", "vanishing", "bouncing",
    "shaking", "blinking", "staying still", "turning",
)  # fmt: skip
TOGETHER = ("approaching", "moving away from", "following", "leading", "swapping places with")
ACTIONS = (*ALONE, *TOGETHER)
BACKWARDS = {  # what each of these is in reverse
    "shrinking": "growing",
    "spinning anticlockwise": "spinning clockwise",
    "circling anticlockwise": "circling clockwise",
    "vanishing": "appearing",
    "moving away from": "approaching",
    "leading": "following",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What differs from a plain drawing in a row of the table."""

    actions: tuple[str, ...] = ACTIONS
    colors: tuple[str, ...] = tuple(COLORS)
    radius: float = 0.13
    reach: float = 0.28  # how far things move to either side
    span: tuple[float, float] = (0.0, 1.0)  # the part of the clip in which something happens
    line: int = 0
    photo: bool = False
    beside: str = ""  # "still" or "moving"
    any_turn: bool = False
    fills: bool = False
    bounces: float = 3.0


ROWS: dict[str, Row] = {
    "plain": Row(),
    "a still second shape": Row(beside="still"),
    "a moving second shape": Row(beside="moving"),
    "a photo behind": Row(photo=True),
    "slow": Row(reach=0.09),
    "all in the first quarter": Row(span=(0.0, 0.25)),
    "in the last half": Row(span=(0.5, 1.0)),
    "spins that start anywhere": Row(("spinning clockwise", "spinning anticlockwise"), any_turn=True),
    "hollow": Row(line=4),
    "black and gray": Row(colors=tuple(DARK)),
    "tiny": Row(radius=0.045),
    "growing until it fills the frame": Row(("growing", "shrinking"), fills=True),
    "two and a half bounces": Row(("bouncing",), bounces=2.5),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: a function from its time, 0 to 1, to what is in the picture, back to front."""

    sentences: tuple[str, ...]  # of every action that the object could do
    truth: str
    background: Image.Image
    figures: Callable[[float], list[Figure]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what crossframe.load takes: a folder 'last', or 'shapes'")
    parser.add_argument("--clips", type=int, default=66, help="of each row")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS), metavar="ROW")
    parser.add_argument("--out", type=Path, help="a folder that keeps the clips and what was said of them")
    arguments = parser.parse_args()
    recognizer = Recognizer.from_pretrained(arguments.model, device="cpu")
    shares: dict[str, float] = {}
    print("| clips | action |\n|---|---|")
    with TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        for name in arguments.rows:
            found = answers(recognizer, ROWS[name], arguments.clips, folder / name.replace(" ", "-"))
            shares[name] = sum(row["said"] == row["truth"] for row in found) / len(found)
            print(f"| {name} | {shares[name]:.2f} |", flush=True)
    print(json.dumps({"model": arguments.model, "clips": arguments.clips, "action": shares}))


def answers(recognizer: Recognizer, row: Row, count: int, folder: Path) -> list[dict[str, Any]]:
    """Draw the clips of a row into `folder`, and return what is shown and said of each."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for index, clip in enumerate(clips(row, count)):
        path = write(clip, folder / f"{index:03d}.mp4")
        said, score = recognizer.classify(path, list(clip.sentences)).top(1)[0]
        found.append({"path": path.name, "truth": clip.truth, "said": said, "score": round(score, 4)})
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0].keys())
        writer.writeheader()
        writer.writerows(found)
    return found


def clips(row: Row, count: int) -> Iterator[Clip]:
    """The clips of a row, whose actions take turns; the same each time."""
    for index in range(count):
        yield _clip(row, row.actions[index % len(row.actions)], np.random.default_rng((2022, index)))


def write(clip: Clip, path: Path) -> Path:
    """Write a clip as an H.264 file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for t in np.linspace(0, 1, FRAMES):
            picture = clip.background.copy()
            for figure in clip.figures(float(t)):
                draw(picture, figure)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return path


def _clip(row: Row, action: str, rng: np.random.Generator) -> Clip:
    palette = COLORS | DARK
    shape = pick(rng, [s for s in SHAPES if "spinning" not in action or s not in SAME_HOWEVER_TURNED])
    if row.line and shape == "ring":
        shape = "circle"
    color = pick(rng, row.colors)
    partner = (pick(rng, [c for c in COLORS if c != color]), pick(rng, [s for s in SHAPES if s != shape]))
    third = (
        pick(rng, [c for c in COLORS if c not in (color, partner[0])]),
        pick(rng, [s for s in SHAPES if s not in (shape, partner[1])]),
    )
    turned_to = pick(rng, [c for c in COLORS if c != color])
    shown = [color, *([partner[0]] if action in TOGETHER else []), *([turned_to] if action == "turning" else [])]
    me = Figure(shape, palette[color], radius=row.radius, line=row.line)
    if row.any_turn:
        me = replace(me, turn=rng.uniform(0, 2 * pi))
    you = Figure(partner[1], palette[partner[0]], radius=row.radius, line=row.line)
    move = _movement(row, action, me, you, palette[turned_to], rng)
    extra = _beside(row, Figure(third[1], palette[third[0]], radius=row.radius), action, rng)
    first, last = row.span

    def figures(t: float) -> list[Figure]:
        progress = min(max((t - first) / (last - first), 0.0), 1.0)
        return [*extra(t), *move(progress)]

    possible = [a for a in ACTIONS if "spinning" not in a or shape not in SAME_HOWEVER_TURNED]
    ends = {a: f" {_a(*partner)}" if a in TOGETHER else f" {turned_to}" if a == "turning" else "" for a in possible}
    sentences = {a: f"{_a(color, shape)} {a}{ends[a]}" for a in possible}
    background = photo(rng) if row.photo else plain(rng, [palette[name] for name in shown])
    return Clip(tuple(sentences.values()), sentences[action], background, figures)


def _movement(
    row: Row, action: str, me: Figure, you: Figure, turned_to: tuple[int, int, int], rng: np.random.Generator
) -> Callable[[float], list[Figure]]:
    """From progress, 0 to 1, to the things that the sentence names."""
    if action in BACKWARDS:
        forwards = _movement(row, BACKWARDS[action], me, you, turned_to, rng)
        return lambda s: forwards(1 - s)
    way = rng.uniform(0, 2 * pi)
    me = replace(me, x=me.x + rng.uniform(-0.08, 0.08), y=me.y + rng.uniform(-0.08, 0.08))
    if action in TOGETHER:
        return lambda s: _pair_at(s, row, action, me, you, way)
    return lambda s: [_alone_at(s, row, action, me, way, turned_to)]


def _pair_at(s: float, row: Row, action: str, me: Figure, you: Figure, way: float) -> list[Figure]:
    close = 2.2 * me.radius
    far = close + row.reach * 1.4

    def along(distance: float, figure: Figure) -> Figure:
        return replace(figure, x=0.5 + distance * cos(way), y=0.5 + distance * sin(way))

    match action:
        case "approaching":
            return [along(far / 2, you), along(s * (far - close) - far / 2, me)]
        case "following":
            place = (s - 0.5) * 1.6 * row.reach
            return [along(place + close / 2 + 0.02, you), along(place - close / 2 - 0.02, me)]
        case _:  # swapping: around each other, half a turn
            dx, dy = (max(close, 0.3) / 2 * wave(way + pi * s) for wave in (cos, sin))
            return [replace(you, x=0.5 + dx, y=0.5 + dy), replace(me, x=0.5 - dx, y=0.5 - dy)]


def _alone_at(s: float, row: Row, action: str, me: Figure, way: float, turned_to: tuple[int, int, int]) -> Figure:
    reach, quick = row.reach, max(row.span[1] - row.span[0], 0.25)  # what goes round quickly must still be seen to
    change = min(max(3 * s - 1, 0.0), 1.0)
    match action:
        case "moving right" | "moving left":
            return replace(me, x=me.x + (2 * s - 1) * reach * (1 if action == "moving right" else -1))
        case "moving down" | "moving up":
            return replace(me, y=me.y + (2 * s - 1) * reach * (1 if action == "moving down" else -1))
        case "growing":
            least, most = 0.5 * me.radius, 0.95 if row.fills else me.radius * (2.2 if reach > 0.1 else 1.0)
            return replace(me, radius=least * (most / least) ** s)
        case "spinning clockwise":
            symmetry = {"square": pi / 2, "triangle": 2 * pi / 3, "star": 2 * pi / 5, "cross": pi / 2}
            turn = s * symmetry.get(me.shape, 2 * pi) * min(1.5 if reach > 0.1 else 0.7, 2 * quick)
            return replace(me, turn=me.turn + turn)
        case "circling clockwise":
            turn = way + 2 * pi * min(1.0, 1.6 * quick) * s
            return replace(me, x=me.x + 0.7 * reach * cos(turn), y=me.y + 0.7 * reach * sin(turn))
        case "appearing":
            return replace(me, opacity=change)
        case "bouncing":
            height = max(reach, 0.16) * 1.4 * abs(sin(pi * row.bounces * max(quick, 0.5) * s))
            return replace(me, y=me.y + 0.2 - height)
        case "shaking":
            return replace(me, x=me.x + 0.05 * sin(6 * pi * max(quick, 0.5) * s))
        case "blinking":
            return replace(me, opacity=float((s * 3 * max(quick, 0.5)) % 1 < 0.5))
        case "turning":
            red, green, blue = (round(a + change * (b - a)) for a, b in zip(me.color, turned_to, strict=True))
            return replace(me, color=(red, green, blue))
        case _:
            return me


def _beside(row: Row, figure: Figure, action: str, rng: np.random.Generator) -> Callable[[float], list[Figure]]:
    """A thing that no sentence names, in a corner; where it moves, it does so along a side, its own way."""
    corner, sign = int(rng.integers(4)), 1 if rng.random() < 0.5 else -1
    x, y = 0.14 + 0.72 * (corner % 2), 0.14 + 0.72 * (corner // 2)
    if not row.beside:
        return lambda t: []
    if row.beside == "still":
        return lambda t: [replace(figure, x=x, y=y)]
    sideways = action not in ("moving right", "moving left")  # never the very movement that is asked for
    place = (lambda t: (0.5 + sign * 0.5 * (t - 0.5), y)) if sideways else (lambda t: (x, 0.5 + sign * 0.5 * (t - 0.5)))
    return lambda t: [replace(figure, x=place(t)[0], y=place(t)[1])]


def _a(color: str, shape: str) -> str:
    return f"{'an' if color[0] in 'aeiou' else 'a'} {color} {shape}"


if __name__ == "__main__":
    main()
