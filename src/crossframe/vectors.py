"""Vectors of videos and texts in one file, ready for a vector store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossframe.data.parquet import pyarrow
from crossframe.files import plain_json, replacing
from crossframe.records import ABOUT, TIMES, Record, Records, read_records, types_of_frames

ENDINGS = (".parquet", ".npy", ".jsonl")


class Vectors(Records):
    """Records that have a `vector`, of a `video` or a `text`; all else is as in `Records`.

    `.parquet` has a list of fixed size in each row, `.jsonl` a list of numbers. `.npy` is a matrix (N, E), whose rows
    are told about, line by line, in `NAME.rows.jsonl`. Vector stores take no row without a vector: records with an
    `error` are in `NAME.failed.jsonl`.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, resume: bool = False) -> None:
        """`run` has the `width` E of the vectors, and their `dtype`, float32 or float16."""
        super().__init__(path, run, resume=resume)
        self._shape, self._dtype = (int(run["width"]),), np.dtype(run["dtype"])
        self._digits = {4: 9, 2: 5}[self._dtype.itemsize]
        self._rows_file = path.with_name(f"{path.name}.rows.jsonl")
        self._failed_file = path.with_name(f"{path.name}.failed.jsonl")

    def add(self, record: Record) -> None:
        if "vector" in record:  # in the fewest digits that give the same number back
            vector = np.asarray(record["vector"], self._dtype)
            record = {**record, "vector": [float(f"{number:.{self._digits}g}") for number in vector]}
        super().add(record)

    def each(self) -> Iterator[Record]:
        return (record for record in super().each() if "error" not in record)

    def _finish(self) -> None:
        self._failed_file.unlink(missing_ok=True)
        if self._failed:
            _write_lines(self._failed_file, (record for record in super().each() if "error" in record))
        if self.path.suffix.lower() == ".npy":
            self._write_matrix()
        else:
            super()._finish()

    def _write_matrix(self) -> None:
        shape = (len(self._places) - len(self._failed), *self._shape)
        with replacing(self.path) as part:
            matrix = np.lib.format.open_memmap(part, mode="w+", dtype=self._dtype, shape=shape)
            for number, record in enumerate(self.each()):
                matrix[number] = record["vector"]
            matrix.flush()
            _write_lines(self._rows_file, ({**record, "vector": None} for record in self.each()))

    def _written(self) -> Iterator[Record]:
        if self._failed_file.is_file():
            yield from read_records(self._failed_file)
        if self.path.suffix.lower() != ".npy":
            yield from super()._written()
            return
        for vector, record in zip(np.load(self.path, mmap_mode="r"), read_records(self._rows_file), strict=True):
            yield {**record, "vector": vector.tolist()}

    def _row(self, record: Record) -> Record:
        row = {name: record.get(name) for name in (*ABOUT, "vector", "frames", "warnings")}
        return row | {"vector": np.asarray(row["vector"], self._dtype)}

    def _types(self) -> dict[str, Any]:
        arrow = pyarrow()
        text, vector = arrow.string(), arrow.list_(arrow.from_numpy_dtype(self._dtype), *self._shape)
        times = dict.fromkeys(TIMES, arrow.float64())
        return {"video": text, **times, "text": text, "vector": vector, **types_of_frames()}


def _write_lines(path: Path, records: Iterable[Record]) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for record in records:
            given = {name: value for name, value in record.items() if value is not None}
            file.write(f"{plain_json(given, ensure_ascii=False)}\n")
