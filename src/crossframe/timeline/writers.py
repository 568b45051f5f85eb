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
    """Tasks with predictions, whose labels are of the kind `timelinelabels`: a range is of frames, counted from 1."""
    write_json(path, [_task(timeline) for timeline in timelines])


def write_page(path: Path, timelines: Sequence[Timeline]) -> None:
    """A page; see `timeline.page`."""
    from crossframe.timeline.page import render_page

    write_text(path, render_page(timelines, path.parent))


def beside(video: str, folder: Path) -> str:
    """The path of a video as a list in `folder` names it: relative where it lies below, absolute elsewhere."""
    if "://" in video or video.startswith("<"):
        return video
    full = Path(os.path.abspath(video))
    root = Path(os.path.abspath(folder))
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else str(full)


def _played(timeline: Timeline) -> list[Segment]:
    """The segments by the clock of players, which begins with the file: with its sound, where that comes first."""
    return [
        replace(each, start=each.start + timeline.begins, end=each.end + timeline.begins) for each in timeline.segments
    ]


def _task(timeline: Timeline) -> dict[str, Any]:
    rate = timeline.rate or 25.0  # Label Studio wants frames; its own default where nobody knows
    results = [
        {
            "id": f"segment-{number}",
            "type": "timelinelabels",
            "from_name": "timelineLabels",
            "to_name": "video",
            "score": each.score,
            "value": {
                "ranges": [{"start": int(each.start * rate) + 1, "end": max(round(each.end * rate), 1)}],
                "timelinelabels": [each.label],
            },
        }
        for number, each in enumerate(timeline.segments, start=1)
    ]
    model = str(timeline.made_by.get("model", "crossframe"))
    scores = [each.score for each in timeline.segments]
    prediction = {"model_version": model, "score": sum(scores) / len(scores) if scores else 0.0, "result": results}
    return {"data": {"video": timeline.video, "framerate": round(rate, 3)}, "predictions": [prediction]}


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
