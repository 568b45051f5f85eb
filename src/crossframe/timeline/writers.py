"""Timelines as files: a list of clips, JSON, subtitles, tasks for Label Studio, a page.

The ending of the name chooses. A list in CSV has the columns path, start, end, label and score, which `train` and
`evaluate` read as clips.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossframe.data.clip import Clip
from crossframe.data.labeling import BEGINS, FRAME_RATE, TIMELINE, write_tasks
from crossframe.files import write_json, write_text

if TYPE_CHECKING:
    from crossframe.timeline.segments import Segment
    from crossframe.timeline.timeline import Timeline

COLUMNS = ("path", "start", "end", "label", "score")
LABEL_STUDIO = "label-studio.json"


def check_name(path: Path, videos: int) -> None:
    """Raise ValueError for a name whose ending says no format, or one that holds a single video beside several."""
    if path.name.endswith(LABEL_STUDIO):
        return
    if path.suffix not in WRITERS:
        raise ValueError(f"{path}: has none of the endings {', '.join(WRITERS)} or {LABEL_STUDIO}; give one of them")
    if path.suffix in SINGLE and videos > 1:
        raise ValueError(f"{path}: subtitles are of one video, and {videos} were given; name them one by one")


def write(path: Path, timelines: Sequence[Timeline]) -> None:
    """Write all timelines in the format of the name's ending, whole or not at all."""
    writer = write_label_studio if path.name.endswith(LABEL_STUDIO) else WRITERS[path.suffix]
    writer(path, timelines)


def write_csv(path: Path, timelines: Sequence[Timeline]) -> None:
    """A list of clips; paths are relative to the list's folder where the video lies in it or below."""
    write_list(path, [(beside(timeline.video, path.parent), timeline.segments) for timeline in timelines])


def write_list(path: Path, segments: Iterable[tuple[str, Sequence[Segment]]]) -> None:
    """A list of clips: the segments of each video by its path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, several in segments:
        for each in several:
            clip = Clip(name, each.label, start=each.start, end=each.end)
            writer.writerow((clip.path, f"{each.start:.12g}", f"{each.end:.12g}", clip.label, f"{each.score:.4f}"))
    write_text(path, text.getvalue())


def write_all_json(path: Path, timelines: Sequence[Timeline]) -> None:
    """All that is known, with the scores of each window."""
    write_json(path, [timeline.to_dict(windows=True) for timeline in timelines])


def write_srt(path: Path, timelines: Sequence[Timeline]) -> None:
    """SubRip subtitles, which players show over the video."""
    blocks = [
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{_plain(each.label)}\n"
        for number, each in enumerate(_played(timelines[0]), start=1)
    ]
    write_text(path, "\n".join(blocks))


def write_vtt(path: Path, timelines: Sequence[Timeline]) -> None:
    """WebVTT, the subtitles and chapters of browsers."""
    cues = [
        f"\n{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{_escaped(_one_line(each.label))}\n"
        for each in _played(timelines[0])
    ]
    write_text(path, "WEBVTT\n" + "".join(cues))


def write_label_studio(path: Path, timelines: Sequence[Timeline]) -> None:
    """Tasks with predictions, whose labels are of the kind `timelinelabels`, and the labeling setup beside them."""
    labels = dict.fromkeys(label for timeline in timelines for label in timeline.track.labels)
    write_tasks(path, [_task(timeline) for timeline in timelines], TIMELINE, labels)


def write_page(path: Path, timelines: Sequence[Timeline]) -> None:
    """A page; see `timeline.page`."""
    from crossframe.timeline.page import render_page

    write_text(path, render_page(timelines, path.parent))


def beside(video: str, folder: Path) -> str:
    """The path of a video as a list in `folder` names it: relative where it lies below, absolute elsewhere."""
    full = Path(_full(video))
    root = Path(os.path.abspath(folder))
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else _full(video)


def _full(video: str) -> str:
    """The absolute path of a video that is a file."""
    return video if "://" in video or video.startswith("<") or video == "-" else os.path.abspath(video)


def _played(timeline: Timeline) -> list[Segment]:
    """The segments by the clock of players, which begins with the file: with its sound, where that comes first."""
    return [
        replace(each, start=each.start + timeline.begins, end=each.end + timeline.begins) for each in timeline.segments
    ]


def _task(timeline: Timeline) -> dict[str, Any]:
    """A task whose ranges are of frames, from the first to the last one of a segment, counted from 1 where the file
    begins; `data.importers.label_studio` reads them."""
    rate = round(timeline.rate, 3) or 25.0  # frames are wanted where nobody knows how many
    results = [
        {
            "id": f"segment-{number}",
            "type": "timelinelabels",
            "from_name": TIMELINE,
            "to_name": "video",
            "score": each.score,
            "value": {
                "ranges": [{"start": first + 1, "end": max(round(each.end * rate), first + 1)}],
                "timelinelabels": [each.label],
            },
        }
        for number, each in enumerate(_played(timeline), start=1)
        for first in [round(each.start * rate)]
    ]
    model = str(timeline.made_by.get("model", "crossframe"))
    scores = [each.score for each in timeline.segments]
    prediction = {"model_version": model, "score": sum(scores) / len(scores) if scores else 0.0, "result": results}
    source = _full(timeline.video)
    data = {"video": timeline.video, "source": source, FRAME_RATE: rate}
    return {"data": data | ({BEGINS: timeline.begins} if timeline.begins else {}), "predictions": [prediction]}


def _clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and thousandths.

    >>> _clock(3725.0426, ",")
    '01:02:05,043'
    """
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _one_line(label: str) -> str:
    return " ".join(label.split())


def _plain(label: str) -> str:
    """A label that no reader of SubRip takes for markup."""
    return _one_line(label).translate(LOOKALIKES)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


WRITERS: dict[str, Callable[[Path, Sequence[Timeline]], None]] = {
    ".csv": write_csv,
    ".json": write_all_json,
    ".srt": write_srt,
    ".vtt": write_vtt,
    ".html": write_page,
}
SINGLE = (".srt", ".vtt")
# SubRip has no escapes. Players hide <b>, and many any <word>; they obey {\an8} and \N. A sign that looks alike is read
# as what it stands for, by people; an invisible one in between would not keep every player from seeing a tag, and would
# be copied along unseen.
LOOKALIKES = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")", "\\": "\u2216"})
