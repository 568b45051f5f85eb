"""Clips of what a live source has shown, cut from its packets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import av
import pytest

import crossframe
from crossframe.timeline.live import BACK_OFF, Live
from crossframe.timeline.segments import Segment
from crossframe.timeline.watch import Watch
from tests.timeline.test_stream import RATE, Server, film, stream_of
from tests.video.clips import write_clip


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_segment_can_be_recorded_without_encoding_it_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", frames=film(15, [(1, 5.0, 9.0)]), rate=RATE, options={"g": "10"})
    live = Live(str(path), idle=0.1, record=True, sleep=lambda _: None)
    (segment,) = Watch(live, stream_of())
    assert isinstance(segment, Segment)
    clip = tmp_path / "clip.mkv"
    assert live.save(clip, segment.start, segment.end)
    frames = crossframe.read_video(clip, 8)
    green = frames.pixels[:, 1].double().mean(dim=(1, 2))
    assert frames.total == pytest.approx(RATE * (segment.end - segment.start), abs=2 * RATE)
    assert int((green > 200).sum()) >= 5
    assert not live.save(tmp_path / "no.mkv", 100.0, 101.0)


def test_a_clock_that_steps_back_costs_no_clip(tmp_path: Path) -> None:
    """Of two films one behind the other, each of which begins at 0."""
    path = write_clip(tmp_path / "a.ts", frames=film(5, []), rate=RATE, options={"g": "10", "bf": "0"})
    (tmp_path / "b.ts").write_bytes(2 * path.read_bytes())
    live = Live(str(tmp_path / "b.ts"), idle=0.1, sleep=lambda _: None, record=True)
    assert len([*live.frames(lambda _: False)]) == 2 * 5 * RATE
    for number, (start, end, least) in enumerate([(0.0, 2.0, 20), (4.0, 7.0, 29), (7.0, 9.0, 20)]):
        assert live.save(tmp_path / f"{number}.mkv", start, end)
        assert frames_of(tmp_path / f"{number}.mkv") >= least
    live.close()
    assert not live.save(tmp_path / "gone.mkv", 0.0, 2.0)


def test_a_folder_that_cannot_be_written_costs_the_clip_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "a.ts", frames=film(5, []), rate=RATE, options={"g": "10", "bf": "0"})
    live = Live(str(path), idle=0.1, sleep=lambda _: None, record=True)
    assert [*live.frames(lambda _: False)]
    (tmp_path / "file").write_text("")
    assert not live.save(tmp_path / "file" / "1.mkv", 0.0, 2.0)
    assert "1.mkv: cannot be written" in caplog.text


def test_what_a_loss_closes_is_recorded_before_the_next_connection(tmp_path: Path) -> None:
    """However slow whoever records is."""
    path = write_clip(tmp_path / "a.ts", frames=film(9, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "10", "bf": "0"})
    server = Server([path.read_bytes()] * 2)
    live = Live(server.address, retries=0, record=True, waits=True, sleep=lambda _: None)
    saved: list[Any] = []
    for number, found in enumerate(Watch(live, stream_of())):
        if isinstance(found, Segment):
            time.sleep(0.3)
            saved.append(live.save(tmp_path / f"{number}.mkv", found.start, found.end))
        elif found.wait is not None:
            assert found.wait == BACK_OFF[0]
    server.close()
    assert saved == [True, True]
