"""The stretches of videos in which no event is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe.data.between import with_between
from crossframe.data.clip import Clip
from crossframe.data.manifest import Manifest
from tests.video.clips import moving, write_clip


@pytest.fixture
def events(tmp_path: Path) -> Manifest:
    """Ten seconds with events from 2 to 4, 3.5 to 5 and 5.5 to 7; and a clip that is a whole file."""
    write_clip(tmp_path / "a.mp4", frames=moving(100), rate=10)
    write_clip(tmp_path / "b.mp4", frames=moving(20), rate=10)
    times = [(2.0, 4.0), (3.5, 5.0), (5.5, 7.0)]
    clips = [Clip("a.mp4", "walking", "train", start, end) for start, end in times]
    return Manifest((*clips, Clip("b.mp4", "sitting", "train")), ("sitting", "walking"), tmp_path)


def test_what_is_free_becomes_clips_of_the_usual_length(events: Manifest) -> None:
    found, count = with_between(events, "nothing")
    clips = [(clip.path, clip.label, clip.split, clip.start, clip.end) for clip in found.clips[4:]]
    assert clips == [
        ("a.mp4", "nothing", "train", 0.0, 2.0),
        ("a.mp4", "nothing", "train", 7.0, 8.5),
        ("a.mp4", "nothing", "train", 8.5, 10.0),
    ]
    assert count == 3
    assert found.clips[:4] == events.clips
    assert found.labels == ("sitting", "walking", "nothing")


def test_short_stretches_are_kept_where_they_are_asked_for_and_long_ones_uncut(events: Manifest) -> None:
    found, count = with_between(events, "nothing", shortest=0.5, longest=60.0)
    assert count == 3
    assert [(clip.start, clip.end) for clip in found.clips[4:]] == [(0.0, 2.0), (5.0, 5.5), (7.0, 10.0)]


def test_a_label_of_the_list_is_no_name_for_nothing(events: Manifest) -> None:
    with pytest.raises(ValueError, match="'sitting' is a label of the list already"):
        with_between(events, "sitting")
