"""Tasks for Label Studio, with the labeling setup that its project needs beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from crossframe.files import check_unused, write_json, write_text

CHOICES = "label"  # the names of what is asked: of one answer for a clip, and of stretches of a video
TIMELINE = "timelineLabels"
FRAME_RATE = "framerate"  # in the data of tasks whose answers count frames, and what the setup takes it from
BEGINS = "begins"  # seconds that players count before the video's first frame
_CONTROLS = {
    CHOICES: (
        '<Video name="video" value="$video"/>',
        f'<Choices name="{CHOICES}" toName="video" choice="single" showInline="true">',
        "Choice",
        "</Choices>",
    ),
    TIMELINE: (
        f'<Video name="video" value="$video" framerate="${FRAME_RATE}"/>',
        f'<TimelineLabels name="{TIMELINE}" toName="video">',
        "Label",
        "</TimelineLabels>",
    ),
}


def check_tasks(path: Path) -> None:
    """Raise ValueError where tasks at `path`, or the setup beside them, would be written over a file."""
    check_unused(path)
    check_unused(setup_beside(path))


def setup_beside(path: Path) -> Path:
    """Where the labeling setup of these tasks is: an .xml of the same name."""
    return path.with_suffix(".xml")


def write_tasks(path: Path, tasks: Sequence[Any], asked: str, labels: Iterable[str]) -> None:
    """Write tasks, and beside them the labeling setup: a video, and these labels to choose from, or to lay over time.

    `asked` is `CHOICES` or `TIMELINE`, which predictions name as `from_name`.
    """
    write_json(path, tasks)
    video, opened, each, closed = _CONTROLS[asked]
    rows = "".join(f'    <{each} value="{escape(label)}"/>\n' for label in labels)
    write_text(setup_beside(path), f"<View>\n  {video}\n  {opened}\n{rows}  {closed}\n</View>\n")
