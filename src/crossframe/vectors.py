"""Vectors of videos and texts in one file, ready for a vector store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossframe.data.parquet import pyarrow
from crossframe.files import replacing
from crossframe.records import ABOUT, Record, Records, types_of_frames

SUFFIXES = (".parquet", ".npy", ".jsonl")


class Vectors(Records):
    """Records that have a `vector`, of a `video` or a `text`; all else is as in `Records`.

    `.parquet` has a list of fixed size in each row, `.jsonl` a list of numbers. `.npy` is a matrix (N, E), whose rows
    are told about, line by line, in `NAME.rows.jsonl`. A video that could not be read has its `error`, and no vector:
    null in Parquet, a row of NaN in the matrix.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, resume: bool = False) -> None:
        """`run` has the `width` E of the vectors, and their `dtype`, float32 or float16."""
        super().__init__(path, run, resume=resume)
        self._shape, self._dtype = (int(run["width"]),), np.dtype(run["dtype"])
        self._digits = {4: 9, 2: 5}[self._dtype.itemsize]
        self._rows_file = path.with_name(f"{path.name}.rows.jsonl")

    def add(self, record: Record) -> None:
        if "vector" in record:  # in the fewest digits that give the same number back
            vector = np.asarray(record["vector"], self._dtype)
            record = {**record, "vector": [float(f"{number:.{self._digits}g}") for number in vector]}
        super().add(record)

    def _finish(self) -> None:
        if self.path.suffix.lower() == ".npy":
            self._write_matrix()
        else:
            super()._finish()

    def _write_matrix(self) -> None:
        shape = (len(self), *self._shape)
        with replacing(self.path) as part, replacing(self._rows_file) as rows, rows.open("w", encoding="utf-8") as file:
            matrix = np.lib.format.open_memmap(part, mode="w+", dtype=self._dtype, shape=shape)
            for number, record in enumerate(self.each()):
                matrix[number] = record.pop("vector", np.nan)
                file.write(f"{json.dumps(record, ensure_ascii=False)}\n")
            matrix.flush()

    def _written(self) -> Iterator[Record]:
        if self.path.suffix.lower() != ".npy":
            yield from super()._written()
            return
        with self._rows_file.open(encoding="utf-8") as file:
            for vector, record in zip(np.load(self.path, mmap_mode="r"), map(json.loads, file), strict=True):
                yield record if "error" in record else {**record, "vector": vector.tolist()}

    def _row(self, record: Record) -> Record:
        row = {name: record.get(name) for name in (*ABOUT, "vector", "frames", "warnings", "error")}
        if row["vector"] is not None:
            row["vector"] = np.asarray(row["vector"], self._dtype)
        return row

    def _types(self) -> dict[str, Any]:
        arrow = pyarrow()
        text, vector = arrow.string(), arrow.list_(arrow.from_numpy_dtype(self._dtype), *self._shape)
        return {"video": text, "text": text, "vector": vector, **types_of_frames(), "error": text}


def check_name(path: Path) -> None:
    """Raise ValueError where the name is that of no file of vectors."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is no name for vectors; let it end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
