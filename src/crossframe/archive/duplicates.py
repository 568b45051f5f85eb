"""Clips of an index that are nearly the same: copies in another size or format, cuts of one recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from crossframe.archive.hits import Hit
from crossframe.archive.store import KEY, Key, Row, Store, Vector

BLOCK = 2048  # rows that are compared with all others at once
ALL_PAIRS = 50_000  # rows; of more, each is compared with its neighbors in the index
NEIGHBORS = 20  # of each


def duplicates(store: Store, least: float, where: str | None = None) -> list[list[Hit]]:
    """Groups of two or more clips that are joined by cosines of `least` or more, the largest group first.

    Each clip's `similarity` is that with the first of its group, which comes first in the index.
    """
    rows, vectors = store.vectors(where)
    groups = [group for group in _joined(_pairs(store, rows, vectors, least), len(rows)) if len(group) > 1]
    groups.sort(key=len, reverse=True)
    return [
        [Hit.of(rows[place] | {"cosine": float(vectors[place] @ vectors[group[0]])}) for place in group]
        for group in groups
    ]


def without(store: Store, groups: Sequence[Sequence[Hit]], where: str | None = None) -> list[Hit]:
    """All clips but the copies: of each group the first."""
    copies = {(hit.source, hit.start, hit.end) for group in groups for hit in group[1:]}
    return [Hit.of(row | {"cosine": 1.0}) for row in store.rows(where=where) if _key(row) not in copies]


def _pairs(store: Store, rows: Sequence[Row], vectors: Vector, least: float) -> Iterator[tuple[int, int]]:
    """The places of rows whose vectors are alike."""
    if len(rows) > ALL_PAIRS:
        places = {_key(row): place for place, row in enumerate(rows)}
        for place, vector in enumerate(vectors):
            for row in store.nearest(vector, NEIGHBORS, columns=KEY):
                other = places.get(_key(row))
                if other is not None and other != place and row["cosine"] >= least:
                    yield place, other
        return
    for first in range(0, len(vectors), BLOCK):
        alike = vectors[first : first + BLOCK] @ vectors[first:].T >= least  # (block, rest)
        for one, other in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
            yield first + int(one), first + int(other)


def _key(row: Row) -> Key:
    return row["source"], row["start"], row["end"]


def _joined(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Places that are joined by pairs, in order: the components of a graph."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    groups: dict[int, list[int]] = {}
    for place in range(count):
        groups.setdefault(root(place), []).append(place)
    return list(groups.values())
