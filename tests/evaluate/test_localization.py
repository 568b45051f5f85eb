"""Segments against events whose figures are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crossframe.cli.localization import localization_table
from crossframe.evaluate.localization import Event, events_by_video, events_within, localization, segment_precision
from crossframe.timeline.segments import Segment, Track
from tests.timeline.test_segments import LABELS, seen_of, track_of

EVENTS = {"a": [Event("walking", 0.0, 10.0), Event("walking", 20.0, 30.0)], "b": [Event("sitting", 5.0, 9.0)]}


def test_perfect_segments_have_the_precision_of_one() -> None:
    found = {video: [Segment(e.label, e.start, e.end, 0.5) for e in each] for video, each in EVENTS.items()}
    result = localization(found, EVENTS, {})
    assert result.means["mean_ap"] == result.means["ap_30"] == result.means["ap_70"] == 1.0
    assert (result.covered, result.overlap) == (1.0, 1.0)


def test_an_event_counts_once_and_false_segments_cost_precision() -> None:
    found = {"a": [Segment("walking", 0, 10, 0.9), Segment("walking", 0, 10, 0.8), Segment("walking", 20, 30, 0.7)]}
    assert segment_precision(found, EVENTS, "walking", 0.5) == pytest.approx((1 + 2 / 3) / 2)
    assert segment_precision(found, EVENTS, "sitting", 0.5) == 0.0
    assert np.isnan(segment_precision(found, EVENTS, "running", 0.5))


def test_an_overlap_that_is_too_small_is_none() -> None:
    found = {"b": [Segment("sitting", 5.0, 7.0, 0.9)]}  # half of the event
    assert segment_precision(found, EVENTS, "sitting", 0.5) == 1.0
    assert segment_precision(found, EVENTS, "sitting", 0.6) == 0.0
    assert localization(found, EVENTS, {}).covered == pytest.approx(0.5 / 3)


def test_the_same_segment_in_another_video_is_wrong() -> None:
    assert segment_precision({"c": [Segment("sitting", 5.0, 9.0, 0.9)]}, EVENTS, "sitting", 0.3) == 0.0


def test_points_are_the_middles_of_windows() -> None:
    events = {"a.mp4": [Event("walking", 5.0, 12.0), Event("sitting", 20.0, 24.0)]}
    track = track_of(seen_of([(0, 5.0, 12.0), (1, 20.0, 24.0)]))
    result = localization({"a.mp4": track.segments()}, events, {"a.mp4": track})
    assert result.per_label["sitting"]["points"] > 0.95  # a middle on the very border scores a half
    assert result.means["mean_ap"] > 0.9
    assert set(result.summary()) >= {"ap_30", "ap_50", "ap_70", "points", "mean_ap", "covered", "per_label"}
    assert [row["label"] for row in result.summary()["per_label"]] == list(LABELS)


def test_events_of_a_part_are_cut_to_it() -> None:
    events = [Event("a", 0.0, 2.0), Event("b", 1.0, 5.0), Event("c", 4.0, 9.0), Event("d", 6.0, 8.0)]
    assert events_within(events, 2.0, 6.0) == [Event("b", 2.0, 5.0), Event("c", 4.0, 6.0)]
    assert events_within(events, 5.0, None) == [Event("c", 5.0, 9.0), Event("d", 6.0, 8.0)]
    assert events_within(events, None, None) == events


def test_what_no_middle_of_a_window_tells_is_not_known_and_no_mean(recwarn: pytest.WarningsRecorder) -> None:
    track = track_of(seen_of([(0, 5.0, 12.0)]))
    short = track.centers[3] + 0.01
    events = {"a.mp4": [Event("walking", 5.0, 12.0), Event("sitting", short, short + 0.02)]}
    result = localization({"a.mp4": track.segments()}, events, {"a.mp4": track})
    assert np.isnan(result.per_label["sitting"]["points"])
    assert result.means["points"] == result.per_label["walking"]["points"]
    points = [*localization_table(result.summary()).columns[-1].cells]
    assert points == [points[0], "-", points[0]]
    nobody = localization({}, {"a.mp4": events["a.mp4"][1:]}, {"a.mp4": track})
    assert np.isnan(nobody.means["points"])
    assert [*localization_table(nobody.summary()).columns[-1].cells] == ["-", "-"]
    assert not recwarn.list


def test_lists_without_times_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.mp4: an event of 'x' has no end"):
        events_by_video([("a.mp4", "x", 1.0, None)])
    with pytest.raises(ValueError, match="there are no events"):
        localization({}, {}, {"a": Track()})


@pytest.mark.parametrize(("start", "end"), [(2.0, 2.0), (3.0, 2.0), (float("nan"), 2.0), (0.0, float("inf"))])
def test_an_event_without_length_is_refused_where_it_is_made(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=rf"an event of 'walking' cannot last from {start} to {end} s; let it end"):
        Event("walking", start, end)
    with pytest.raises(ValueError, match=r"a\.mp4: an event of 'walking' cannot last"):
        events_by_video([("a.mp4", "walking", start, end)])
