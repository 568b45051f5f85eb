"""Timelines of uploads: windows are read in processes of their own, a few at a time, and computed among other clips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import islice
from typing import Any

from crossframe.answers import Question
from crossframe.pace import figure
from crossframe.prediction import Prediction
from crossframe.serve.batches import Batches, or_raise
from crossframe.serve.requests import TimelineAsked
from crossframe.serve.settings import RefusedError, Settings
from crossframe.timeline.timeline import Timeline
from crossframe.timeline.windows import Grid
from crossframe.video.decode import Frames
from crossframe.video.exact import Decoded
from crossframe.video.given import Video
from crossframe.video.stretches import Span, read_windows_of, span_of

TOGETHER = 16  # windows that are read at once: the memory of one request


async def timeline_of(
    batches: Batches, video: Video, question: Question, asked: TimelineAsked, settings: Settings
) -> dict[str, Any]:
    """The values of a timeline. Raises VideoError where the video cannot be read."""
    recognizer = batches.recognizer
    grid = Grid.of(asked.window, asked.stride, recognizer.num_frames, recognizer.model.taught)
    span = await batches.read(span_of, video, settings.length, stream=recognizer.stream)
    _check_number(span, grid, settings.most_windows)
    windows = [window async for window in _windows(batches, video, question, grid, span)]
    found = Timeline.of(windows, question.scoring.labels, multi=asked.multi, window=grid.window, stride=grid.stride)
    return video.about() | found.to_dict(windows=True)


async def _windows(
    batches: Batches, video: Video, question: Question, grid: Grid, span: Span
) -> AsyncGenerator[Prediction]:
    """The predictions of all windows in which a frame is shown."""
    view, spans = batches.recognizer.view, grid.spans(*span)
    while some := list(islice(spans, TOGETHER)):
        parts = await batches.read(read_windows_of, video, some, batches.recognizer.num_frames, **view)
        clips = [Frames.from_arrays(part) for part in parts if isinstance(part, Decoded)]
        rows = await asyncio.gather(*(batches.computed(clip, question.logits) for clip in clips))
        for clip, row in zip(clips, rows, strict=True):
            yield or_raise(question.answer(clip, row))


def _check_number(span: Span, grid: Grid, most: int) -> None:
    length = span[1] - span[0]
    if grid.stride > grid.window:
        between = f"a stride of {figure(grid.stride)} s leaves out what lies between windows"
        raise RefusedError(422, f"{between}; send at most {figure(grid.window)} s")
    if length / grid.stride > most:
        few = f"{most} windows are the most; send a stride of {figure(length / most, 2)} s or more, or a shorter part"
        raise RefusedError(
            422, f"a stride of {figure(grid.stride)} s makes {length / grid.stride:.0f} windows, and {few}"
        )
