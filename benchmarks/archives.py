"""Archives: how fast and how well an index is searched, and what re-ranking and chosen clips are worth.

    python -m benchmarks.archives --save     # then python -m benchmarks.tables

- search: vectors of width 512 around a thousand middles, as many as `ROWS` says; 200 questions from between the rows,
  one after the other. Recall is of the ten nearest, against comparing all.
- rerank: sentences of a quarter of the Shapes clips in an index, three sets: how often the clip itself comes first,
  by vectors alone and with the whole model's score of the first 200.
- suggest: the 22 actions of Shapes as labels, by their bare names: accuracy on other clips after 20, 40 ... 100 labels
  that were chosen, or drawn at random, three sets.
- errors: 5% of the labels of a set exchanged; the share of them among the 5% of clips that are doubted most. Labels are
  sentences about one object, the same in all clips of a set; sentences about the objects of any; bare names of actions.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Bar, Options, Result, run
from crossframe.answers import as_vector, stack
from crossframe.archive.choosing import choose, doubts, fit, learned, probabilities
from crossframe.archive.finding import Finder
from crossframe.archive.indexing import features_size, row_of
from crossframe.archive.store import Row, Store
from crossframe.evaluate.shapes import frames_of
from crossframe.prediction import Embedding
from crossframe.recognizer import Recognizer
from crossframe.shapes.caption import sentence
from crossframe.shapes.splits import Split, draw, split_actions
from crossframe.video.decode import Frames
from crossframe.video.given import Video
from crossframe.weights.saving import fingerprint

ROWS = (100_000, 1_000_000)
WIDTH = 512
MIDDLES = 1000
QUESTIONS = 200
SETS = (0, 1, 2)
PER_SET = 440
ASKED = 4  # every so many clips of a set are asked for: the whole model scores two hundred for each
OBJECTS = ("red circle", "blue square", "green triangle")  # of each set
ACTIONS = list(split_actions(Split.TEST))
ROUNDS, LABELS = 5, 20
WRONG = 0.05


def measure(options: Options) -> Result:
    rows: list[dict[str, Any]] = []
    counts = (1000,) if options.tiny else ROWS
    with TemporaryDirectory() as folder:
        for count in counts:
            rows.append(_search(Path(folder) / str(count), count))
        sets = [_Set.drawn(Path(folder) / f"set-{seed}", seed, 24 if options.tiny else PER_SET) for seed in SETS]
        alone = [
            _Set.drawn(Path(folder) / f"object-{seed}", seed, len(each.scenes), OBJECTS[seed])
            for seed, each in zip(SETS, sets, strict=True)
        ]
        rows += _over_sets("rerank", [_rerank(each) for each in sets])
        rows += _over_sets("suggest", [_suggest(each) for each in sets])
        rows += _over_sets("errors", [_errors(*each) for each in zip(sets, alone, strict=True)])
    at = rows[0]
    found = {row["what"]: row for row in rows if "what" in row}
    return Result(
        [
            Bar(f"milliseconds of a question, p95, {at['rows']:,} rows", at["p95_ms"], 50, at_most=True),
            Bar(f"recall@10, {at['rows']:,} rows", at["recall"], 0.98),
            Bar("planted errors among the first 5%", found["errors: sentences about one object"]["mean"], 0.5),
        ],
        rows,
        [f"{len(SETS)} sets of {len(sets[0].scenes)} clips; deviations are over the sets"],
    )


def _search(folder: Path, count: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    middles = _unit(random.standard_normal((MIDDLES, WIDTH), np.float32))

    def drawn(size: int) -> Any:
        spread = random.standard_normal((size, WIDTH), np.float32) / np.float32(np.sqrt(WIDTH))
        return _unit(middles[random.integers(0, MIDDLES, size)] + spread)

    def rows() -> Iterator[Row]:
        for first in range(0, count, 10_000):
            for number, vector in enumerate(drawn(min(10_000, count - first)), first):
                yield {"video": f"{number}.mp4", "source": f"/{number}.mp4", "frames": [0], "vector": vector}

    about = {"weights": "-", "model": "-", "precision": "float32", "num_frames": 8, "width": WIDTH, "features": 0}
    store = Store.create(folder, about)
    begun = time.perf_counter()
    store.add(rows())
    added = time.perf_counter()
    store.finish()
    ended = time.perf_counter()
    seconds: list[float] = []
    kept = 0
    questions = drawn(QUESTIONS + 10)
    for number, question in enumerate(questions):
        start = time.perf_counter()
        found = store.nearest(question, 10)
        if number >= 10:  # the first warm up
            seconds.append(time.perf_counter() - start)
            exact = {row["source"] for row in store.nearest(question, 10, exact=True)}
            kept += len(exact & {row["source"] for row in found})
    told = store.recall() or {"cells": None}
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "rows": count,
        "p50_ms": 1000 * float(np.median(seconds)),
        "p95_ms": 1000 * float(np.quantile(seconds, 0.95)),
        "recall": kept / (10 * QUESTIONS),
        "cells": told["cells"],
        "of_cells": round(count**0.5) if told["cells"] else None,
        "megabytes": size / 1e6,
        "seconds_adding": added - begun,
        "seconds_finishing": ended - added,
    }


def _unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Set:
    """Drawn clips in an index that keeps their features."""

    finder: Finder
    scenes: list[Any]

    @classmethod
    def drawn(cls, folder: Path, seed: int, count: int, look: str = "") -> _Set:
        """Of all objects, or of one alone."""
        recognizer = Recognizer.from_pretrained("shapes", precision="float32", workers=0)
        scenes = (draw(Split.TEST, 100 + seed, number) for number in itertools.count())
        scenes = list(itertools.islice((scene for scene in scenes if look in ("", str(scene.target.look))), count))
        model = recognizer.model
        about = {"weights": fingerprint(model), "model": "shapes", "precision": "float32", "num_frames": 8}
        about |= {"width": model.config.embed_dim, "features": features_size(model)}
        store = Store.create(folder, about)
        store.add(_rows(recognizer, scenes))
        return cls(Finder(folder, recognizer), scenes)


def _rows(recognizer: Recognizer, scenes: list[Any]) -> Iterator[Row]:
    for number, scene in enumerate(scenes):
        frames = _frames(frames_of(scene, 8), f"/{number}.mp4")
        features = stack(recognizer.encode([frames]))[0].float()
        found = as_vector(frames, features[0])
        assert isinstance(found, Embedding)
        yield row_of(Video(f"/{number}.mp4"), found, features)


def _frames(pixels: Tensor, name: str) -> Frames:
    count = len(pixels)
    nothing = torch.zeros(count, dtype=torch.float64)
    return Frames(pixels, torch.arange(count), nothing, count, torch.zeros(count, dtype=torch.bool), 0, name)


def _rerank(drawn: _Set) -> dict[str, float]:
    first = {0: 0, 200: 0}
    asked = range(0, len(drawn.scenes), ASKED)
    for number in asked:
        scene = drawn.scenes[number]
        for rerank in first:
            (best,) = drawn.finder.find(sentence(scene), top=1, rerank=rerank)
            first[rerank] += best.source == f"/{number}.mp4"
    return {name: first[at] / len(asked) for name, at in (("vectors", 0), ("whole model", 200))}


def _suggest(drawn: _Set) -> dict[str, float]:
    asked = drawn.finder.ask(ACTIONS)
    truth = np.array([ACTIONS.index(scene.action) for scene in drawn.scenes])
    half = len(truth) // 2
    random = np.random.default_rng(0)
    found: dict[str, float] = {}
    for way in ("random", "margin", "diversity", "both"):
        has: list[int] = []
        logits = asked.logits
        for number in range(1, ROUNDS + 1):
            left = np.setdiff1d(np.arange(half), has)
            if way == "random":
                new = random.permutation(len(left))[:LABELS].tolist()
            else:
                scores = probabilities(logits[left])
                new = choose(asked.vectors[left], scores, asked.vectors[has], LABELS, way)
            has += left[new].tolist()
            weights = fit(asked.vectors[has], truth[has].tolist(), asked.logits[has])
            logits = learned(asked.vectors, asked.logits, weights)
            found[f"{way}, {LABELS * number} labels"] = float((logits[half:].argmax(axis=1) == truth[half:]).mean())
    return found


def _errors(drawn: _Set, alone: _Set) -> dict[str, float]:
    return {
        "sentences about one object": _exchanged(alone, [sentence(scene) for scene in alone.scenes]),
        "sentences about any": _exchanged(drawn, [sentence(scene) for scene in drawn.scenes]),
        "bare names": _exchanged(drawn, [scene.action for scene in drawn.scenes]),
    }


def _exchanged(drawn: _Set, labels: list[str]) -> float:
    """The share of exchanged labels among those that are doubted most."""
    names = sorted(set(labels))
    targets = np.array([names.index(label) for label in labels])
    random = np.random.default_rng(0)
    wrong = random.permutation(len(targets))[: max(1, round(WRONG * len(targets)))]
    for place in wrong:
        targets[place] = random.choice([other for other in range(len(names)) if other != targets[place]])
    asked = drawn.finder.ask(names)
    doubt, _ = doubts(asked.vectors, targets.tolist(), asked.logits)
    return float(np.isin(np.argsort(-doubt, kind="stable")[: len(wrong)], wrong).mean())


def _over_sets(kind: str, found: list[dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {"what": f"{kind}: {name}", "mean": mean(values), "deviation": stdev(values), "each": values}
        for name in found[0]
        for values in [[each[name] for each in found]]
    ]


if __name__ == "__main__":
    run("archives", measure)
