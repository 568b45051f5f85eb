"""A source that hands over seconds at once, or is faster than the model: what waits, and what is dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from crossframe import Prediction
from crossframe.timeline.live import Live, Lost, Shown
from crossframe.timeline.segments import Segment
from crossframe.timeline.stream import Stream
from crossframe.timeline.watch import Watch
from crossframe.video.decode import Frames
from tests.timeline.test_stream import GRID, LABELS, RATE, LabelSet, answer, film

EVENTS = [(0, 5.0, 9.0), (1, 14.0, 17.0), (0, 21.0, 24.0)]


@dataclass
class Source:
    """Frames of a film, so many seconds of it at once, every `pause` seconds."""

    at_once: float
    pause: float
    patience: float | None = 0.0
    stopped: bool = False
    is_live: bool = True
    decoding: float = 0.0  # seconds for a frame
    jump: float = 0.0  # seconds that are missing after the tenth one
    read: list[float] = field(default_factory=list[float])

    def frames(self, _: Callable[[float], bool]) -> Iterator[Shown | Lost]:
        for number, picture in enumerate(film(30, EVENTS)):
            time.sleep(self.decoding)
            if number and number % round(self.at_once * RATE) == 0:
                time.sleep(self.pause)
            if self.stopped:
                return
            self.read.append(number / RATE)
            yield Shown(number / RATE + self.jump * (number >= 10 * RATE), picture)

    def stop(self) -> None:
        self.stopped = True


def watch_of(source: Source, seconds: float = 0.0) -> Watch:
    """Watches it with a model that takes so long for a window."""

    def slow(frames: Frames) -> Prediction:
        time.sleep(seconds)
        return answer(frames)

    return Watch(cast("Live", source), Stream(slow, LabelSet.of(LABELS), GRID, 8))


def told(watch: Watch) -> list[tuple[str, float, float]]:
    return [(each.label, each.start, each.end) for each in watch if isinstance(each, Segment)]


@pytest.mark.parametrize("at_once", [6.0, 15.0])
def test_what_comes_in_bursts_is_answered_whole_where_the_model_keeps_up(at_once: float) -> None:
    """As segments of HLS do."""
    watch = watch_of(Source(at_once, 0.3))
    found = told(watch)
    assert watch.dropped == 0
    assert found == [
        (LABELS[1 + channel], pytest.approx(start, abs=0.4), pytest.approx(end, abs=0.4))
        for channel, start, end in EVENTS
    ]


def test_a_source_that_is_ahead_for_too_long_has_windows_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of it is read in no time, and each window takes a tenth of a second: it is never at its own pace,
    and after a window and a stride of that, windows are dropped and frames are read as fast as they come."""
    faster = 20.0  # a second is as long as 20, or the test would take so long
    monkeypatch.setattr("crossframe.timeline.watch.monotonic", lambda: faster * time.monotonic())
    source = Source(0.5, 0.0)
    watch = watch_of(source, 0.1)
    list(watch)
    assert watch.dropped > 20
    assert watch.behind <= GRID.window + 2 * GRID.stride


def test_time_that_a_frame_takes_to_be_decoded_is_no_pace_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossframe.timeline.watch.monotonic", lambda: 20.0 * time.monotonic())
    watch = watch_of(Source(30.0, 0.0, decoding=0.004), 0.1)
    list(watch)
    assert watch.dropped > 20


@pytest.mark.parametrize("is_live", [True, False])
def test_windows_in_a_gap_of_the_times_are_not_dropped_for_the_model(is_live: bool) -> None:
    watch = watch_of(Source(6.0, 0.1, is_live=is_live, jump=1e9))
    found = told(watch)
    assert watch.dropped <= 5  # those of which the gap takes the end
    assert [label for label, _, _ in found] == ["red", "green", "red"]
    assert found[-1][1:] == (pytest.approx(1e9 + 21, abs=0.6), pytest.approx(1e9 + 24, abs=0.6))


def test_what_is_lost_when_it_is_not_read_is_never_kept_waiting() -> None:
    """A camera's frames, and what UDP brings."""
    source = Source(30.0, 0.0, patience=None)
    watch = watch_of(source, 0.05)
    list(watch)
    assert source.read[-1] == pytest.approx(30 - 1 / RATE)
    assert watch.dropped > 20


def test_a_source_says_what_may_wait() -> None:
    assert Live("http://127.0.0.1/live.ts").patience == 0.0
    assert Live("rtmp://127.0.0.1/live").patience == 0.0
    for lossy in ("0", "/dev/video0", "udp://127.0.0.1:1", "rtsp://127.0.0.1/live"):
        assert Live(lossy).patience is None
