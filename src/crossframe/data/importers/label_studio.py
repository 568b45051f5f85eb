"""The answers that people gave in Label Studio, in its JSON export, as a list of clips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, cast

from crossframe.data.clip import SEVERAL, Clip
from crossframe.data.importers.imported import Imported, collect
from crossframe.data.labeling import BEGINS, FRAME_RATE
from crossframe.pace import counted
from crossframe.video.given import file_of

READ = ("choices", "timelinelabels")  # kinds of answers
DIGITS = 6  # of seconds: a frame at a third of a second is found again
PLACES = ("source", "video")  # of a task's data: where crossframe found the clip, or else what was shown
FEW = "make the tasks with crossframe suggest, or give them a 'video'"


class _UnreadableError(ValueError):
    """A task does not say what its answers are of."""


def import_label_studio(root: Path, annotations: Path | None = None) -> Imported:
    """The clips that have an answer, by the latest annotation of each task: of choices one, several as labels true at
    once, and of ranges on the timeline one for each range, in seconds after the video's first frame.

    `root` is the export, beside which relative paths start; or it is the folder that they start from, and `annotations`
    is the export. Tasks that nobody has answered, or that were skipped, are counted, and so are answers of other kinds.
    Raises ValueError where it is no such export.
    """
    export = annotations or root
    folder = (root if annotations else root.parent).absolute()
    answered: list[Clip] = []
    open_tasks = unread_tasks = 0
    unread: set[str] = set()
    for number, task in enumerate(_tasks(export)):
        try:
            results = _latest(task)
            clips = _clips(task["data"], results)
        except _UnreadableError as error:
            raise ValueError(f"{export}, task {number}: {error}") from None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = f"its answers are not as Label Studio exports them ({type(error).__name__}: {error})"
            raise ValueError(f"{export}, task {number}: {reason}; export as JSON again") from None
        kinds = {str(result.get("type")) for result in results} - set(READ)
        answered += clips
        if not clips:
            unread |= kinds
            unread_tasks += bool(kinds)
            open_tasks += not kinds
    others = f"{', '.join(sorted(unread))}, and choices and timelinelabels are read"
    if not answered and unread:
        raise ValueError(f"{export} has answers of the kinds {others}; ask for one of these in the labeling setup")
    if not answered:
        tasks = counted(open_tasks, "task")
        raise ValueError(f"{export} has {tasks}, and not one has an answer; label some and export again")
    labels = sorted({label for clip in answered for label in clip.labels})
    placed = [(clip, clip.path if file_of(folder / clip.path).is_file() else None) for clip in answered]
    notes = [f"without an answer: {counted(open_tasks, 'task')}"] if open_tasks else []
    if unread:
        notes.append(f"left out: {counted(unread_tasks, 'task')} with answers of the kinds {others}")
    return collect(placed, labels, folder, notes=notes)


def _tasks(export: Path) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(export.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{export} is no JSON ({error}); export from Label Studio as JSON") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in cast("Any", tasks)):
        raise ValueError(f"{export} is no list of tasks with 'data'; export from Label Studio as JSON, not JSON-MIN")
    return cast("list[dict[str, Any]]", tasks)


def _latest(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results of the latest annotation that was not cancelled."""
    done = [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
    latest = max(done, key=lambda each: str(each.get("updated_at", "")), default=None)
    return (latest["result"] or []) if latest else []


def _clips(data: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[Clip]:
    """The clips that the answers to one task label: the whole of it, or where there are ranges, each of these.

    Raises ValueError where the data do not say which video it is, or which frames are meant.
    """
    laid = [(_chosen(result), result["value"]["ranges"]) for result in _of(results, "timelinelabels")]
    ranges = [(span, labels) for labels, spans in laid if labels for span in spans]
    chosen = [choice for result in _of(results, "choices") for choice in _chosen(result)]
    if not ranges and not chosen:
        return []
    place = next((str(data[name]) for name in PLACES if data.get(name)), None)
    if place is None:
        raise _UnreadableError(f"its data have neither {' nor '.join(PLACES)}; {FEW}")
    if not ranges:
        start, end = (None if data.get(name) is None else float(data[name]) for name in ("start", "end"))
        return [Clip(place, SEVERAL.join(dict.fromkeys(chosen)), start=start, end=end)]
    rate, begins = _rate(data), float(data.get(BEGINS) or 0.0)
    shown: dict[tuple[float, float], dict[str, None]] = {}  # the labels of each stretch
    for span, said in ranges:
        stretch = _seconds(span, rate, begins)
        if stretch[0] < stretch[1]:  # and not before the first frame
            shown.setdefault(stretch, {}).update(dict.fromkeys(said))
    return [
        Clip(place, SEVERAL.join(labels), start=start, end=end)
        for (start, end), labels in sorted(shown.items(), key=lambda each: each[0])
    ]


def _of(results: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    return (result for result in results if result.get("type") == kind)


def _chosen(result: Mapping[str, Any]) -> list[str]:
    """The labels of an answer; none of a stretch that was marked, and given no label."""
    return [label.strip() for label in result["value"].get(result["type"]) or ()]


def _rate(data: Mapping[str, Any]) -> float:
    try:
        rate = float(data.get(FRAME_RATE) or 0)
    except (TypeError, ValueError):
        rate = 0.0
    if not 0 < rate < inf:
        said = f"is {data[FRAME_RATE]!r}" if data.get(FRAME_RATE) else "is missing"
        raise _UnreadableError(
            f"its answers count frames, and '{FRAME_RATE}' in its data {said}; put the one there that <Video> had"
        )
    return rate


def _seconds(span: Mapping[str, Any], rate: float, begins: float) -> tuple[float, float]:
    """From when to when the frames of a range are shown, counted from 1, both its ends among them.

    >>> _seconds({"start": 26, "end": 50}, 25.0, 0.0)
    (1.0, 2.0)
    """
    ends = [int(span[name]) for name in ("start", "end") if span.get(name) is not None]
    first, last = (min(ends) - 1) / rate - begins, max(ends) / rate - begins
    return round(max(first, 0.0), DIGITS), round(last, DIGITS)
