"""One task for each of many videos: in parallel, and resumable.

The outcome of each file is appended at once to a record, as a line of JSON. A file that succeeded is not processed
again unless it, or the settings, have changed; one that failed is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, TypeAlias

from crossframe.video.exact import Decoded
from crossframe.video.given import VideoError, file_of
from crossframe.video.isolate import Read

File: TypeAlias = "os.PathLike[str]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for a file: how many frames it has, or its `problem`, in one line."""

    name: str
    frames: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The work on each file: `read(path)`, a function that can be imported by name.

    `settings` names every choice that changes the result. `has_result` tells whether the result for a file, by name, is
    still there.
    """

    read: Read
    settings: str = ""
    has_result: Callable[[str], bool] = lambda _name: True


def process_each(
    files: Mapping[str, File], work: Work, record: Path, *, workers: int, timeout: float
) -> Iterator[Outcome]:
    """Process every file, by name, each for up to `timeout` seconds; outcomes come in the order of the files.

    With 0 workers, everything runs in this process, without limits.

    Raises OSError where the record cannot be written.
    """
    # Imported here, so that the workers, which import this module for `work.read`, need no torch.
    from crossframe.video.decode import decode_many

    stamps = {name: _stamp(path, work.settings) for name, path in files.items()}
    done = {
        name: outcome
        for name, outcome in _read_record(record, stamps).items()
        if outcome.problem is None and work.has_result(name)
    }
    left = [path for name, path in files.items() if name not in done]
    if workers:
        results = decode_many(left, 1, workers=workers, timeout=timeout, read=work.read)
    else:
        results = (_do_here(path, work.read) for path in left)
    with _open_record(record) as log:
        for name, path in files.items():
            outcome = done.get(name)
            if outcome is None:
                result = next(results)
                if isinstance(result, VideoError):
                    outcome = Outcome(name, 0, str(result).removeprefix(f"{os.fspath(path)}: "))
                else:
                    outcome = Outcome(name, result.total)
                log.write(json.dumps({**asdict(outcome), "stamp": stamps[name]}, ensure_ascii=False) + "\n")
                log.flush()
            yield outcome


def _do_here(path: File, read: Read) -> Decoded | VideoError:
    try:
        return read(path)
    except VideoError as error:
        return error


def _stamp(path: File, settings: str) -> str:
    """A text that changes with the file and with the settings."""
    with suppress(OSError, ValueError):
        status = os.stat(file_of(Path(path)))
        return f"{status.st_size} {status.st_mtime_ns} {settings}"
    return ""


def _read_record(record: Path, stamps: Mapping[str, str]) -> dict[str, Outcome]:
    """The outcomes in the record that still hold; of several lines about one file, the last counts."""
    found: dict[str, Outcome] = {}
    if not record.exists():
        return found
    for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):  # the last line of a run that was killed may be half written
            entry = json.loads(line)
            if stamps.get(entry["name"]) == entry["stamp"]:
                found[entry["name"]] = Outcome(entry["name"], entry["frames"], entry["problem"])
    return found


def _open_record(record: Path) -> TextIO:
    record.parent.mkdir(parents=True, exist_ok=True)
    torn = record.exists() and not record.read_bytes().endswith(b"\n") and record.stat().st_size > 0
    log = record.open("a", encoding="utf-8")
    if torn:
        log.write("\n")
    return log
