"""Work on one file for the processes that read videos: how long it lasts, and a few windows of it. Without torch."""

from __future__ import annotations

from collections.abc import Sequence

from crossframe.taught import FrameRule
from crossframe.video.exact import Decoded, open_video
from crossframe.video.given import Video, VideoError
from crossframe.video.stretches import Span, read_parts


def span_of(video: Video, longest: float, *, stream: int | None = None) -> Span:
    """From when to when a video, or the part of it that is asked for, lasts, in seconds after its first frame.

    Raises VideoError where nobody knows, or that is longer than `longest` seconds.
    """
    with open_video(video, stream=stream) as opened:
        part = opened.frame_range(video.start, video.end)  # says what is missing
        opened.check_length(None if video.whole else part, longest)
        end = opened.duration if video.end is None else min(video.end, opened.duration)
        return video.start or 0.0, end


def read_windows_of(
    video: Video,
    spans: Sequence[Span],
    num_frames: int,
    *,
    sampling: FrameRule = "sparse",
    stream: int | None = None,
    short_side: int | None = None,
) -> list[Decoded | VideoError]:
    """The frames of each of these windows; one in which no frame is shown gives its error instead."""
    with open_video(video, stream=stream) as opened:
        return list(read_parts(opened, spans, num_frames, sampling=sampling, short_side=short_side))
