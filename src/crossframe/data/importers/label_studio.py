"""The answers that people gave in Label Studio, in its JSON export, as a list of clips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from crossframe.data.clip import SEVERAL, Clip
from crossframe.data.importers.imported import Imported, collect
from crossframe.pace import counted
from crossframe.video.given import file_of

PLACES = ("source", "video")  # of a task's data: where crossframe found the clip, or else what was shown
FEW = "make the tasks with crossframe suggest, or give them a 'video'"


def import_label_studio(root: Path, annotations: Path | None = None) -> Imported:
    """The clips that have an answer. Each has the choices of its latest annotation, several as labels true at once.

    `root` is the export, beside which relative paths start; or it is the folder that they start from, and `annotations`
    is the export. Tasks that nobody has answered, or that were skipped, are counted. Raises ValueError where it is no
    such export.
    """
    export = annotations or root
    folder = (root if annotations else root.parent).absolute()
    answered: list[Clip] = []
    open_tasks = 0
    for number, task in enumerate(_tasks(export)):
        chosen = _choices(task)
        if not chosen:
            open_tasks += 1
            continue
        data: Mapping[str, Any] = task["data"]
        place = next((str(data[name]) for name in PLACES if data.get(name)), None)
        if place is None:
            raise ValueError(f"{export}, task {number}: its data have neither {' nor '.join(PLACES)}; {FEW}")
        start, end = (None if data.get(name) is None else float(data[name]) for name in ("start", "end"))
        answered.append(Clip(place, SEVERAL.join(chosen), start=start, end=end))
    if not answered:
        raise ValueError(f"{export} has {open_tasks} tasks, and not one has an answer; label some and export again")
    labels = sorted({label for clip in answered for label in clip.labels})
    placed = [(clip, clip.path if file_of(folder / clip.path).is_file() else None) for clip in answered]
    notes = [f"without an answer: {counted(open_tasks, 'task')}"] if open_tasks else []
    return collect(placed, labels, folder, notes=notes)


def _tasks(export: Path) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(export.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{export} is no JSON ({error}); export from Label Studio as JSON") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in cast("Any", tasks)):
        raise ValueError(f"{export} is no list of tasks with 'data'; export from Label Studio as JSON, not JSON-MIN")
    return cast("list[dict[str, Any]]", tasks)


def _choices(task: Mapping[str, Any]) -> list[str]:
    """The choices of the latest annotation that was not cancelled."""
    done = [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
    latest = max(done, key=lambda each: str(each.get("updated_at", "")), default=None)
    return [*dict.fromkeys(_chosen(latest["result"]))] if latest else []


def _chosen(results: list[dict[str, Any]]) -> Iterator[str]:
    for result in results:
        if result.get("type") == "choices":
            yield from (choice.strip() for choice in result["value"]["choices"])
