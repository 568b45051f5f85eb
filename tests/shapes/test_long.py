"""Long videos whose events are known."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crossframe.data.manifest import read_manifest
from crossframe.shapes.long import FPS, draw_cast, draw_shots, frames_of, render_long
from tests.video.clips import decode_fully


def test_the_list_says_when_things_are_in_the_picture(tmp_path: Path) -> None:
    listed = render_long(tmp_path, "test", 1, 40, seed=3)
    manifest = read_manifest(listed)
    assert set(manifest.labels) <= set((tmp_path / "labels.txt").read_text().splitlines())
    frames = np.stack(decode_fully(tmp_path / "test" / "long-000.mp4")).astype(np.int16)
    assert len(frames) == 40 * FPS
    shots = list(draw_shots(draw_cast(3), 3, 2 << 20, 40.0))
    assert [event.label for shot in shots for event in shot.events] == [clip.label for clip in manifest.clips]
    for shot in shots:
        events = shot.events
        empty = [
            number
            for number in range(round(shot.start * FPS) + 1, round(shot.end * FPS) - 1)
            if not any(event.start - 0.2 < number / FPS < event.end + 0.2 for event in events)
        ]
        nothing = np.median(frames[empty], axis=0)
        for event in events:
            middle = frames[round(event.start * FPS) : round(event.end * FPS)]
            assert np.abs(middle - nothing).max() > 60, event.label
        assert np.abs(frames[empty] - nothing).max() < 60


def test_the_same_seed_gives_the_same_video_and_another_split_another(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        render_long(tmp_path / folder, "test", 1, 15, seed=1)
    render_long(tmp_path / "a", "train", 1, 15, seed=1)
    one, other, train = (tmp_path / name / "long-000.mp4" for name in ("a/test", "b/test", "a/train"))
    assert one.read_bytes() == other.read_bytes() != train.read_bytes()
    with (tmp_path / "a" / "events.csv").open() as file:
        assert {row["split"] for row in csv.DictReader(file)} == {"test", "train"}


def test_events_have_gaps_overlaps_and_lengths_from_one_second_on() -> None:
    shots = list(draw_shots(draw_cast(0), 0, 0, 3600.0))
    events = [event for shot in shots for event in shot.events]
    lengths = [event.end - event.start for event in events]
    assert min(lengths) > 0.9
    assert max(lengths) > 8
    overlaps = sum(event.end > later.start + 0.01 for event, later in pairwise(events))
    assert 0.03 < overlaps / len(events) < 0.2
    assert all(shot.start <= event.start < event.end <= shot.end for shot in shots for event in shot.events)
    assert [shot.end for shot in shots[:-1]] == [shot.start for shot in shots[1:]]
    assert shots[-1].end == 3600.0


def test_a_long_event_keeps_the_pace_of_a_short_one() -> None:
    """Half a second of it shows as much motion at its beginning as at its end."""
    shots = draw_shots(draw_cast(0), 0, 0, 600.0)
    shot, event = next(
        (shot, event)
        for shot in shots
        for event in shot.events
        if event.end - event.start > 6
        and "circling" in event.label
        and all(other is event or other.end < event.start or other.start > event.end for other in shot.events)
    )
    frames = np.concatenate(list(frames_of(shot))).astype(np.int16)
    first = round((event.start - shot.start) * FPS)
    last = round((event.end - shot.start) * FPS)
    change = np.abs(np.diff(frames[first + 1 : last - 1], axis=0)).mean(axis=(1, 2, 3))
    third = len(change) // 3
    assert change[:third].mean() == pytest.approx(change[-third:].mean(), rel=0.5)


def test_what_is_no_long_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 seconds are too few for a long video"):
        render_long(tmp_path, "test", 1, 5)
    with pytest.raises(ValueError, match="there is no split 'tst'"):
        render_long(tmp_path, "tst", 1, 60)
    (tmp_path / "labels.txt").write_text("mine\n")
    with pytest.raises(ValueError, match=r"labels\.txt is there, and not from shapes render"):
        render_long(tmp_path, "test", 1, 60)
    (tmp_path / "events.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="another data set"):
        render_long(tmp_path, "test", 1, 60)
