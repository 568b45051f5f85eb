"""A table of vectors in a folder: Lance files, which grow in whole steps and are read while others write.

A step, of some clips added or removed, makes a new version of the table or none: a process that is killed leaves the
last whole one. Few rows are compared one by one; of many, a tree of cells (IVF) leaves most out, as few as its
measured recall allows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossframe.extras import install_command
from crossframe.files import write_json

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, float | None, float | None]
Vector: TypeAlias = NDArray[np.float32]

TABLE = "clips"
FORM = 1  # of the table's columns
KEY = ("source", "start", "end")
ASKED = ("video", *KEY, "duration", "label", "score")  # columns for conditions
NO_COLUMN = "no_column_has_this_name"
PLAIN = (*ASKED, "frames")  # what an answer needs
EXACT = 50_000  # rows; up to here all are compared
TRIED = 100  # rows that are asked for their neighbors, to measure recall
NEIGHBORS = 10
RECALL = 0.99
STEP = 1000  # rows
GROUP = 4096
SECONDS = 30.0
FRESH = timedelta(seconds=2)  # after which a reader sees what others have written
OLD = timedelta(hours=1)  # versions that nobody reads any more


def lancedb() -> Any:
    """The library, or a ValueError that says how to get it."""
    try:
        return import_module("lancedb")
    except ImportError:
        raise ValueError(f"an index needs lancedb: {install_command('search')}") from None


def check_new(folder: Path) -> None:
    """Raise ValueError where there is something already."""
    lancedb()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; give --out another path, or --add to add to an index")


class Store:
    """The rows of an index: `source`, where a clip is read from, `start` and `end` of a part, its `video` name, a unit
    `vector` (E,), and perhaps `features` (1 + N, E), the embedding and the summary of patches that the whole model's
    score needs, `label` and `score`, the `duration` in seconds and the `frames` that were seen.

    `run` says what made them: the weights, their precision, the frames of a clip.
    """

    def __init__(self, folder: Path, table: Any) -> None:
        self.folder = folder
        self._table = table
        self.run: dict[str, Any] = json.loads(table.schema.metadata[b"crossframe"])
        if self.run.get("form") != FORM:
            raise ValueError(f"{folder} is an index of another version of crossframe; make it anew")

    @classmethod
    def create(cls, folder: Path, run: Mapping[str, Any]) -> Self:
        """An empty index. `run` has the `width` E of vectors and the number of `features`, (1 + N) * E or 0.

        Raises ValueError where there is something already.
        """
        check_new(folder)
        arrow = import_module("pyarrow")
        text, number = arrow.string(), arrow.float64()
        columns = {"video": text, "source": text, "start": number, "end": number, "duration": number}
        columns |= {"label": text, "score": number, "frames": arrow.list_(arrow.int64())}
        columns["vector"] = arrow.list_(arrow.float32(), run["width"])
        if run["features"]:
            columns["features"] = arrow.list_(arrow.float32(), run["features"])
        schema = arrow.schema(list(columns.items()), {"crossframe": json.dumps({**run, "form": FORM})})
        return cls(folder, lancedb().connect(folder).create_table(TABLE, schema=schema))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises ValueError where there is no index."""
        if (folder / f"{TABLE}.lance").is_dir():
            library = lancedb()
            try:
                return cls(folder, library.connect(folder, read_consistency_interval=FRESH).open_table(TABLE))
            except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
                if isinstance(error, ValueError) and "crossframe" in str(error):
                    raise
                raise ValueError(f"{folder}: the index cannot be read ({_reason(error)}); make it anew") from error
        if any(folder.glob("part-*.parquet")):
            remedy = f"is annotated, and no index yet; make one with crossframe index {folder} --out {folder}-index"
            raise ValueError(f"{folder} {remedy}")
        raise ValueError(f"{folder} is no index; make one with crossframe index VIDEOS --out {folder}")

    def __len__(self) -> int:
        return self._table.count_rows()

    @property
    def has_features(self) -> bool:
        """True if the whole model's score needs no video."""
        return bool(self.run["features"])

    def add(self, rows: Iterable[Row]) -> int:
        """Add rows, in steps of `STEP` of them or of `SECONDS`, each wholly or not at all; returns how many.

        Where the work that gives them is interrupted, those before are kept.
        """
        group: list[Row] = []
        count, begun = 0, monotonic()
        try:
            for row in rows:
                group.append(row)
                if len(group) == STEP or monotonic() - begun > SECONDS:
                    full, group = group, []
                    count += self._append(full)
                    begun = monotonic()
        finally:
            count += self._append(group)
        return count

    def _append(self, group: Sequence[Row]) -> int:
        if group:
            arrow, schema = import_module("pyarrow"), self._table.schema
            self._table.add(arrow.table({f.name: _column(arrow, group, f) for f in schema}, schema))
        return len(group)

    def remove(self, where: str) -> int:
        """Remove the rows that a condition fits; returns how many. Readers that are at work still see them."""
        with _in_one_line(where):
            before = len(self)
            self._table.delete(self._whole(where))
            return before - len(self)

    def remove_clips(self, sources: Sequence[str]) -> int:
        """Remove all clips of these sources; returns how many."""
        listed = ", ".join(f"'{quoted(source)}'" for source in sources)
        return self.remove(f"source IN ({listed})") if sources else 0

    def known(self) -> set[Key]:
        """The keys of all rows."""
        return {(row["source"], row["start"], row["end"]) for row in self.rows(KEY)}

    def check(self, where: str | None) -> None:
        """Raise ValueError for a condition that cannot be understood."""
        next(self.rows(where=where), None)

    def rows(self, columns: Sequence[str] = PLAIN, where: str | None = None) -> Iterator[Row]:
        """All rows, or those that a condition fits."""
        for batch in self._batches(columns, where):
            yield from batch.to_pylist()

    def vectors(self, where: str | None = None) -> tuple[list[Row], Vector]:
        """The rows and their unit vectors, float32 (n, E)."""
        rows: list[Row] = []
        parts: list[Vector] = [np.empty((0, self.run["width"]), np.float32)]
        for group in self.groups((*PLAIN, "vector"), where):
            parts.append(np.stack([row.pop("vector") for row in group]))
            rows += group
        return rows, np.concatenate(parts)

    def groups(self, columns: Sequence[str], where: str | None = None) -> Iterator[list[Row]]:
        """All rows, or those that a condition fits, some thousands at a time; vectors and features as arrays."""
        for batch in self._batches(columns, where):
            if len(batch):
                yield _rows(batch)

    def _batches(self, columns: Sequence[str], where: str | None) -> Iterator[Any]:
        with _in_one_line(where):
            query = self._table.search().select(list(columns))
            yield from (query.where(self._whole(where)) if where else query).to_batches(GROUP)

    def _whole(self, where: str) -> str:
        """A condition in brackets, all of which is understood. Raises ValueError where only its beginning is.

        Lance reads one expression and drops what follows, such as `AN label = 'x'`. So a name that no column has is put
        behind it, and must be missed.
        """
        condition = f"({where}\n)"
        try:
            self._table.search().where(f"{condition} AND {NO_COLUMN} = 1").limit(1).to_arrow()
        except (ValueError, RuntimeError):  # of that name, or else of what the condition itself will be told of
            return condition
        raise ValueError("only its beginning is one; see what stands between conditions: AND, OR, brackets")

    def nearest(
        self,
        vector: Vector,
        count: int,
        *,
        where: str | None = None,
        columns: Sequence[str] = PLAIN,
        exact: bool = False,
        cells: int | None = None,
    ) -> list[Row]:
        """The `count` rows nearest to a vector (E,), best first, with their `cosine`.

        `exact` compares all; otherwise so many `cells` of the tree are looked into, by default those that its measured
        recall asks for.
        """
        with _in_one_line(where):
            query = self._table.search(vector, vector_column_name="vector").distance_type("cosine").limit(count)
            query = query.select([*columns, "_distance"])
            query = query.bypass_vector_index() if exact else query.nprobes(cells or self._cells())
            found = (query.where(self._whole(where), prefilter=True) if where else query).to_arrow()
        rows = _rows(found.drop_columns(["_distance"]))
        for row, distance in zip(rows, found["_distance"].to_pylist(), strict=True):
            row["cosine"] = 1.0 - distance
        return rows

    def finish(self) -> None:
        """Join the small pieces that steps leave, and where there are many rows bring the tree of cells up to date."""
        self._table.optimize(cleanup_older_than=OLD)
        rows = len(self)
        if rows <= EXACT or self._indexed() > rows // 2:  # what came since is compared one by one, then joined in
            return
        config = import_module("lancedb.index").IvfFlat(distance_type="cosine", num_partitions=round(math.sqrt(rows)))
        self._table.create_index("vector", config=config, replace=True)
        self._measure(rows)

    def _indexed(self) -> int:
        known = self._table.list_indices()
        return self._table.index_stats(known[0].name).num_indexed_rows if known else 0

    def _measure(self, rows: int) -> None:
        """Find how many cells must be looked into, and keep that beside the table."""
        picked = np.random.default_rng(0).choice(rows, TRIED, replace=False)
        asked = self._table.take_offsets(sorted(picked.tolist())).select(["vector"]).to_arrow()["vector"]
        asked = asked.combine_chunks().flatten().to_numpy().reshape(TRIED, -1)
        whole = [self._names(vector, exact=True) for vector in asked]
        cells, recall = 4, 0.0
        while cells < math.sqrt(rows):
            cells *= 2
            found = [self._names(vector, cells=cells) for vector in asked]
            recall = float(np.mean([len(one & other) / len(one) for one, other in zip(whole, found, strict=True)]))
            if recall >= RECALL:
                break
        write_json(self._cells_file, {"rows": rows, "cells": cells, "recall": recall, "queries": TRIED})

    def _names(self, vector: Vector, **how: Any) -> set[Key]:
        found = self.nearest(vector, NEIGHBORS, columns=KEY, **how)
        return {(row["source"], row["start"], row["end"]) for row in found}

    @property
    def _cells_file(self) -> Path:
        return self.folder / "cells.json"

    def recall(self) -> dict[str, Any] | None:
        """How many `cells` are looked into and what share of the nearest ten they hold; None where all is compared."""
        return json.loads(self._cells_file.read_text()) if self._cells_file.is_file() else None

    def _cells(self) -> int:
        return (self.recall() or {"cells": max(1, round(math.sqrt(len(self)) / 4))})["cells"]


def quoted(text: str) -> str:
    """A text between the single quotes of a condition."""
    return text.replace("'", "''")


@contextmanager
def _in_one_line(where: str | None) -> Generator[None]:
    """Inside, a condition that cannot be understood is told in one line."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if where is None:
            raise
        raise ValueError(f"--where {where!r} is no condition ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """The library's words, without the statement that it made of a condition and the places in its own source."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.removeprefix("Invalid input, ").partition(", /")[0]
    text = re.sub(r"^Error .*(sql parser error|Invalid user input): ", "", text)
    text = re.sub(r"Valid fields are .*", f"known are {', '.join(ASKED)}; texts stand in single quotes", text)
    return (text.removesuffix(")") if text.count(")") > text.count("(") else text)[:200]


def _rows(found: Any) -> list[Row]:
    """An Arrow table, or a batch of one, as rows; numbers of Python for vectors would take longer than all else."""
    flat = [field.name for field in found.schema if field.name in ("vector", "features")]
    rows: list[Row] = found.drop_columns(flat).to_pylist() if len(flat) < len(found.schema) else [{} for _ in found]
    for name in flat:
        column = found[name]
        whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
        for row, values in zip(rows, whole.flatten().to_numpy().reshape(-1, column.type.list_size), strict=True):
            row[name] = values
    return rows


def _column(arrow: Any, group: Sequence[Row], field: Any) -> Any:
    if not arrow.types.is_fixed_size_list(field.type):
        return arrow.array([row.get(field.name) for row in group], field.type)
    values = np.stack([np.asarray(row[field.name], np.float32).reshape(-1) for row in group])
    return arrow.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1)), field.type.list_size)
