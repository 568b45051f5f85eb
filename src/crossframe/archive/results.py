"""The results of an annotated archive: Parquet parts in a folder, each whole or not there, and what is in them is done.

Ray's own checkpoints are not used: they keep the names of what is done a second time, in files that must agree with
the results, are read on every node from one file system, and take a gigabyte for an actor that compares names. Here one
process writes, so a part that is there says it all: its rows are results or errors, and every clip has one of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, Self

from crossframe.archive.decoding import Job
from crossframe.archive.indexing import PARTS, key_of, source_of
from crossframe.archive.store import KEY, Key
from crossframe.data.parquet import pyarrow
from crossframe.files import LOCK, remove_parts, replacing, write_json, written_alone
from crossframe.records import shortened, types_of_frames
from crossframe.video.given import Video
from crossframe.video.stretches import Span

RUN = "run.json"
ROWS = 5000  # of a part, at most
SECONDS = 60.0  # that a part may wait for its last row
FREE = ("model", "rows")  # what may differ in a run that goes on: where the model lies


def columns(width: int, features: int, dtype: str) -> dict[str, Any]:
    """The columns of a part and their types."""
    arrow = pyarrow()
    text, number = arrow.string(), arrow.float64()
    best = {"label": text, "score": number, "similarity": number}
    found = {"video": text, "source": text, "start": number, "end": number}
    found |= {"windows": arrow.int64(), "duration": number, **best}
    found["predictions"] = arrow.list_(arrow.struct([*best.items(), ("group", text)]))
    found |= {"accepted": arrow.list_(text), "none": arrow.bool_()}
    found["vector"] = arrow.list_(arrow.from_numpy_dtype(dtype), width)
    if features:
        found["features"] = arrow.list_(arrow.float32(), features)
    return found | types_of_frames() | {"error": text, "weights": text}


class Parts:
    """The parts of a folder, and rows on their way into the next one; used inside of 'with', by one process at a time.

    Raises ValueError, in one line, where the folder is of another model or other labels, or another process writes.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        self.folder = folder
        self._run = dict(run)
        self._waiting: list[Any] = []  # tables
        self._begun = monotonic()
        self._held = ExitStack()
        self.results = self.errors = 0

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(written_alone(self.folder))
            self._check_same()
            remove_parts(self.folder)
            self._held = held.pop_all()
        return self

    def _check_same(self) -> None:
        known = self.folder / RUN
        if not known.is_file():
            if any(path.name != LOCK for path in self.folder.iterdir()):
                raise ValueError(f"{self.folder} has files of something else; give --out another folder")
            write_json(known, self._run)
            return
        before = json.loads(known.read_text(encoding="utf-8"))
        for name, value in self._run.items():
            if name not in FREE and before.get(name) != value:
                if name == "features":
                    how = "with" if before.get(name) else "without"
                    raise ValueError(
                        f"{self.folder} was made {how} --summary; do the same, or give --out another folder"
                    )
                raise ValueError(
                    f"{self.folder} was made with {name} {shortened(before.get(name))}, not {shortened(value)}; use "
                    f"what it was made with, or give --out another folder"
                )

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            self._held.close()

    def paths(self) -> list[Path]:
        """The parts that there are, in order."""
        return sorted(self.folder.glob(PARTS))

    def jobs(self, videos: Iterable[Video], *, cut: bool) -> list[Job]:
        """The work that these videos still need, each once. Results and errors that are there are counted.

        Of videos that are `cut` into windows, one is done when all its windows have a row.
        """
        found: defaultdict[str | Key, set[Span]] = defaultdict(set)  # the windows that have a row
        of: dict[str | Key, int] = {}
        self.results = self.errors = 0
        for table in self._each(*KEY, "windows", "error"):
            *rows, errors = (table[name].to_pylist() for name in (*KEY, "windows", "error"))
            self._count(errors)
            for source, start, end, windows in zip(*rows, strict=True):
                name = source if cut else (source, start, end)
                of[name] = windows or 0
                if windows:
                    found[name].add((start, end))
        jobs = {(source_of(v) if cut else key_of(v)): Job(v) for v in videos}
        return [
            replace(job, done=frozenset(found[name]))
            for name, job in jobs.items()
            if name not in of or len(found[name]) < of[name]
        ]

    def forget_errors(self) -> None:
        """Take the rows of errors out, so that these clips are done again."""
        arrow = pyarrow()
        for path in self.paths():
            table = arrow.parquet.read_table(path)
            if table["error"].null_count < len(table):
                kept = table.filter(arrow.compute.is_null(table["error"]))
                with replacing(path) as part:
                    arrow.parquet.write_table(kept, part)

    def _each(self, *names: str) -> Iterator[Any]:
        arrow = pyarrow()
        for path in self.paths():
            try:
                yield arrow.parquet.read_table(path, columns=list(names))
            except (arrow.ArrowException, OSError) as error:
                raise ValueError(f"{path} cannot be read ({error}); remove it, and its clips are done again") from error

    def add(self, table: Any) -> None:
        """Rows of `columns`, to be written with others."""
        self._waiting.append(table)
        self._count(table["error"].to_pylist())
        if sum(map(len, self._waiting)) >= ROWS or monotonic() - self._begun > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        arrow = pyarrow()
        waiting, self._waiting = self._waiting, []
        self._begun = monotonic()
        if waiting:
            last = max((int(path.stem.rpartition("-")[2]) for path in self.paths()), default=-1)
            about = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self._run.items()}
            table = arrow.concat_tables(waiting).replace_schema_metadata(about)
            with replacing(self.folder / f"part-{last + 1:05d}.parquet") as part:
                arrow.parquet.write_table(table, part)

    def _count(self, errors: list[str | None]) -> None:
        failed = sum(error is not None for error in errors)
        self.errors += failed
        self.results += len(errors) - failed
