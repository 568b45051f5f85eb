"""The records of a long piece of work in one file, by its name JSON lines, CSV or Parquet: whole in the end, or not at
all, and taken up again where the work was interrupted.

Until the end, records are kept beside the file in `NAME.partial`, a line of JSON each. What is the same for all of
them (the model, the labels ...) stands once, in `NAME.run.json`, and in the schema of a Parquet file.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, TypeAlias

from crossframe.data.parquet import each_row, pyarrow, write_rows
from crossframe.files import check_ordinary, plain_json, replacing, write_json

Record: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]  # what a record is about: a video, perhaps a part of it, or a text

ENDINGS = (".jsonl", ".csv", ".parquet")
BEST = ("label", "score", "similarity")  # columns of tables, from the first of `predictions`
NESTED = ("predictions", "accepted", "frames", "warnings")  # which CSV holds as JSON
TIMES = ("start", "end")  # of a part, in seconds
COLUMNS: tuple[str, ...] = ("video", *TIMES, *BEST, *NESTED, "error")
ABOUT = ("video", *TIMES, "text")  # what a record is about


class Records:
    """Records for `path`, one for each video: predictions, or why there are none. With `resume`, those of an earlier
    run are kept and need no work.

    Raises ValueError, in one line, where there is a result already that would be written over, or an earlier run was of
    another model or other labels.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}.partial")
        self._run_file = path.with_name(f"{path.name}.run.json")
        self._places: dict[Key, int] = {}  # of the record of each video or text, in the partial file
        self._failed: set[Key] = set()
        self._file: TextIO | None = None
        self._run = dict(run)
        check_free(path, resume=resume)
        if resume and self._run_file.is_file():
            self._check_same(json.loads(self._run_file.read_text(encoding="utf-8")))

    def _check_same(self, before: Mapping[str, Any]) -> None:
        for name in self._run:
            if name in before and before[name] != self._run[name]:
                raise ValueError(
                    f"{self.path} was made with {name} {shortened(before[name])}, not {shortened(self._run[name])}; "
                    "use what it was made with, or give --out another path"
                )

    def __enter__(self) -> Self:
        write_json(self._run_file, self._run)
        known = self.path.exists() and not self.partial.exists()
        self._file = self.partial.open("a+", encoding="utf-8")
        for record in self._written() if known else ():
            self.add(record)
        self._take_up()
        return self

    def _take_up(self) -> None:
        """Find the records that there are; a line that was cut off is dropped."""
        file = self._opened()
        file.seek(0)
        while True:
            place = file.tell()
            line = file.readline()
            record = None
            with suppress(ValueError):
                record = json.loads(line)
            if not line.endswith("\n") or record is None:
                file.seek(place)
                file.truncate()
                return
            self._note(record, place)

    def _note(self, record: Record, place: int) -> None:
        key = _key(record)
        self._places[key] = place
        (self._failed.add if record.get("error") else self._failed.discard)(key)

    def _opened(self) -> TextIO:
        if self._file is None:
            raise ValueError("records are added inside of 'with'")
        return self._file

    def __contains__(self, about: Mapping[str, Any]) -> bool:
        """There is a record about this video, or this part of it, that is no error."""
        return (key := _key(about)) in self._places and key not in self._failed

    def add(self, record: Record) -> None:
        """Keep a record, which replaces one of the same video or text."""
        file = self._opened()
        place = file.seek(0, 2)
        try:
            file.write(plain_json(record, ensure_ascii=True) + "\n")
            file.flush()
        except OSError as error:  # which names no file
            raise OSError(error.errno, error.strerror, str(self.partial)) from error
        self._note(record, place)

    def each(self) -> Iterator[Record]:
        """The records so far, in the order in which they were added; for use inside of 'with'."""
        file = self._opened()
        for place in sorted(self._places.values()):
            file.seek(place)
            yield json.loads(file.readline())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(OSError):  # each record is written by now, or was told of
                self._opened().close()
        if kind is None:
            self.partial.unlink()

    def _finish(self) -> None:
        with replacing(self.path) as part:
            if self.path.suffix.lower() == ".parquet":
                metadata = {
                    name: value if isinstance(value, str) else json.dumps(value) for name, value in self._run.items()
                }
                write_rows(part, map(self._row, self.each()), self._types(), metadata)
                return
            with part.open("w", encoding="utf-8", newline="") as file:
                if self.path.suffix.lower() == ".csv":
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(_cells(self._row(record)) for record in self.each())
                else:
                    file.writelines(f"{plain_json(record, ensure_ascii=False)}\n" for record in self.each())

    def _written(self) -> Iterator[Record]:
        """The records of a whole file."""
        return read_records(self.path)

    def _row(self, record: Record) -> Record:
        """A record as a row of a table."""
        best = next(iter(record.get("predictions") or ()), {})
        return {name: (best if name in BEST else record).get(name) for name in COLUMNS}

    def _types(self) -> dict[str, Any]:
        """The columns of a Parquet file."""
        arrow = pyarrow()
        text, number = arrow.string(), arrow.float64()
        best = {"label": text, "score": number, "similarity": number}
        predictions = arrow.list_(arrow.struct([*best.items(), ("group", text)]))
        accepted = {"accepted": arrow.list_(text)}
        times = dict.fromkeys(TIMES, number)
        about = {"video": text, **times, **best}
        return {**about, "predictions": predictions, **accepted, **types_of_frames(), "error": text}


def check_free(path: Path, *, resume: bool) -> None:
    """Raise ValueError now, rather than in the end, where a result would be written over or cannot be written."""
    if path.suffix.lower() == ".parquet":
        pyarrow()
    for there in () if path.is_dir() else (path, path.with_name(f"{path.name}.partial")):
        if there.exists() and not resume and there.stat().st_size:
            raise ValueError(f"{there} is there already; give --out another path, or --resume to go on with it")
    try:
        check_ordinary(path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("a", encoding="utf-8") as file:
            empty = not file.tell()
        if empty:
            partial.unlink()
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); give --out another path") from error


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file that `Records` wrote."""
    match path.suffix.lower():
        case ".parquet":
            yield from map(_record, each_row(path))
        case ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                yield from map(_record, csv.DictReader(file))
        case _:
            with path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)


def _key(record: Mapping[str, Any]) -> Key:
    return tuple(record.get(name) for name in ABOUT)


def _cells(row: Record) -> Record:
    nested = {name: plain_json(row[name], ensure_ascii=False) for name in NESTED if row[name] is not None}
    return row | nested


def _record(row: Record) -> Record:
    """A row of a table as it was given to `Records.add`."""
    given = {name: value for name, value in row.items() if name not in BEST and value not in (None, "")}
    return given | {name: json.loads(given[name]) for name in (*TIMES, *NESTED) if isinstance(given.get(name), str)}


def types_of_frames() -> dict[str, Any]:
    """The columns `frames` and `warnings` of a Parquet file."""
    arrow = pyarrow()
    number, count = arrow.float64(), arrow.int64()
    frames = {"indices": arrow.list_(count), "times": arrow.list_(number), "total": count, "damaged": count}
    return {"frames": arrow.struct(list(frames.items())), "warnings": arrow.list_(arrow.string())}


def shortened(value: Any) -> str:
    """A value of a run as JSON, for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
