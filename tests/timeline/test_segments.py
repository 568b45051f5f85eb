"""From scores of windows to segments."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crossframe import Prediction
from crossframe.timeline.segments import Track, _Run
from crossframe.video.decode import Seen

LABELS = ("walking", "sitting")
WINDOW, STRIDE = 2.0, 0.5
Rows = NDArray[np.float64]


def window(
    start: float,
    similarities: Sequence[float] | torch.Tensor | None,
    *,
    counted: tuple[int, ...] | None = None,
    damaged: bool = False,
    labels: tuple[str, ...] = LABELS,
    groups: tuple[str, ...] = (),
) -> Prediction:
    """A window in which labels have these cosines, as a model of scale 100 would score them."""
    cosines = torch.as_tensor(similarities, dtype=torch.float64)
    frames = Seen(
        torch.tensor([0]), torch.tensor([start]), 1000, torch.tensor([damaged]), 0, "a.mp4", (), start, start + WINDOW
    )
    scores = (100 * cosines).softmax(0)
    return Prediction("a.mp4", labels, scores, cosines, frames, None, groups, counted)


def shown_of(events: Sequence[tuple[int, float, float]], length: float) -> Rows:
    """(N, 2), the part of each window of a video in which each label is shown, by events (label, start, end)."""
    starts = np.arange(0.0, length - WINDOW + 1e-9, STRIDE)
    shown = np.zeros((len(starts), len(LABELS)))
    for label, begin, end in events:
        both = np.minimum(end, starts + WINDOW) - np.maximum(begin, starts)
        shown[:, label] += both.clip(0) / WINDOW
    return shown


def windows_of(lifts: Rows, counted: tuple[int, ...] | None = None) -> list[Prediction]:
    """A window for each row of what its labels have above their rest, (N, 2)."""
    return [window(STRIDE * n, row, counted=counted) for n, row in enumerate(lifts + np.array([0.20, 0.19]))]


def seen_of(events: Sequence[tuple[int, float, float]], length: float = 60.0) -> list[Prediction]:
    """Windows over a video with these events, (label, start, end): a label gains as much as a window shows of it."""
    return windows_of(0.1 * shown_of(events, length))


def track_of(windows: Sequence[Prediction], **settings: object) -> Track:
    track = Track(**settings)  # pyright: ignore[reportArgumentType]
    for each in windows:
        track.add(each)
    return track


def test_events_are_found_from_when_to_when_they_happen() -> None:
    events = [(0, 5.0, 12.0), (1, 20.0, 24.0), (0, 40.0, 43.0)]
    found = track_of(seen_of(events)).segments()
    assert [segment.label for segment in found] == ["walking", "sitting", "walking"]
    for segment, (_, start, end) in zip(found, events, strict=True):
        assert segment.start == pytest.approx(start, abs=0.3)
        assert segment.end == pytest.approx(end, abs=0.3)
        assert 0.5 < segment.score <= 1


def test_a_label_that_is_best_everywhere_stands_out_nowhere_but_where_it_rises() -> None:
    """A softmax names 'walking' in every window, and it is told only where it is shown."""
    windows = seen_of([(0, 30.0, 36.0)])
    assert all(each.label == "walking" for each in windows)
    (found,) = track_of(windows).segments()
    assert (found.start, found.end) == (pytest.approx(30.0, abs=0.3), pytest.approx(36.0, abs=0.3))


def test_what_goes_on_from_the_first_to_the_last_window_is_one_segment() -> None:
    (found,) = track_of([window(float(start), (0.3, 0.2)) for start in range(10)]).segments()
    assert (found.label, found.start, found.end) == ("walking", 0.0, 11.0)


def test_of_a_flat_curve_nothing_is_told_that_its_score_does_not_accept() -> None:
    assert track_of([window(float(start), (0.3, 0.2), counted=()) for start in range(10)]).segments() == []


def test_an_event_at_the_very_beginning_and_one_at_the_end_reach_to_them() -> None:
    first, last = track_of(seen_of([(0, 0.0, 6.0), (1, 50.0, 60.0)])).segments()
    assert (first.start, last.end) == (0.0, 60.0)


def test_of_labels_that_compete_one_is_shown_at_a_time_unless_several_may() -> None:
    both = seen_of([(0, 10.0, 20.0), (1, 14.0, 30.0)])
    alone = track_of(both).segments()
    assert all(a.end <= b.start for a, b in pairwise(alone))
    assert alone[0].end == pytest.approx(alone[1].start, abs=STRIDE)
    windows = [window(each.frames.start or 0.0, each.similarities, counted=(0, 1)) for each in both]
    together = track_of(windows, multi=True).segments()
    overlap = min(each.end for each in together) - max(each.start for each in together)
    assert overlap == pytest.approx(6.0, abs=1.0)


def test_no_two_segments_that_compete_overlap_however_events_follow_each_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        begins = rng.uniform(0, 50, 12)
        events = [(n % 2, begin, begin + rng.uniform(1, 6)) for n, begin in enumerate(begins)]
        found = track_of(seen_of(events)).segments()
        assert len(found) > 2
        assert [segment.start for segment in found] == sorted(segment.start for segment in found)
        assert all(a.start < a.end <= b.start for a, b in pairwise(found))


def test_one_that_happens_within_another_interrupts_it() -> None:
    shown = shown_of([(0, 10.0, 40.0), (1, 22.0, 26.0)], 60.0)
    found = track_of(windows_of(shown * (0.1, 0.2))).segments()
    assert [segment.label for segment in found] == ["walking", "sitting", "walking"]
    assert (found[0].end, found[2].start) == (found[1].start, found[1].end)
    assert (found[1].start, found[1].end) == (pytest.approx(22.0, abs=0.6), pytest.approx(26.0, abs=0.6))


def test_every_event_of_a_label_is_told_though_its_curve_does_not_fall_to_rest_in_between() -> None:
    """From 20 to 50 s walking never gets less than two fifths of its height: of another background, for instance."""
    events = [(25.0, 28.0), (33.0, 38.0), (44.0, 47.0)]
    shown = shown_of([(0, start, end) for start, end in events], 100.0)
    shown[40:100, 0] = 0.4 + 0.6 * shown[40:100, 0]
    found = track_of(windows_of(0.1 * shown)).segments()
    assert len(found) == len(events)
    for segment, (start, end) in zip(found, events, strict=True):
        assert min(segment.end, end) - max(segment.start, start) > 0.8 * (end - start)


@pytest.mark.parametrize("taken", [0.0, 0.3, 0.5])
def test_a_label_is_told_to_its_end_though_another_beside_it_takes_from_it(taken: float) -> None:
    events = [(0, 10.0, 16.0), (1, 13.0, 20.0)]
    shown = shown_of(events, 60.0)
    found = track_of(windows_of(0.1 * shown * (1 - taken * shown[:, ::-1]), counted=(0, 1)), multi=True).segments()
    assert [segment.label for segment in found] == ["walking", "sitting"]
    for segment, (_, start, end) in zip(found, events, strict=True):
        assert min(segment.end, end) - max(segment.start, start) > 0.9 * (end - start)


def test_of_two_that_compete_the_one_that_is_seen_better_takes_more_of_what_they_share() -> None:
    shown = shown_of([(0, 10.0, 16.0), (1, 14.0, 20.0)], 60.0)
    length = STRIDE * len(shown)
    seen = np.concatenate([shown, shown * (1.0, 0.5), shown * (0.5, 1.0)])
    first, second, one, other, last, least = track_of(windows_of(0.1 * seen)).segments()
    assert first.end == second.start == pytest.approx(15.0, abs=0.3)
    assert one.end - length > first.end + 0.3 > last.end - 2 * length + 0.6
    assert (one.label, other.label, last.label, least.label) == ("walking", "sitting", "walking", "sitting")


def test_segments_of_a_label_never_overlap_whatever_its_curve() -> None:
    rng = np.random.default_rng(1)
    for multi in (False, True):
        for _ in range(20):
            curve = np.convolve(rng.normal(0, 0.1, (120 * 2,)), np.ones(4) / 4, "same").reshape(120, 2)
            found = track_of([window(STRIDE * n, row.tolist()) for n, row in enumerate(curve)], multi=multi).segments()
            assert found
            for label in LABELS:
                own = [segment for segment in found if segment.label == label]
                assert all(a.start < a.end <= b.start for a, b in pairwise(own))


def test_runs_that_overlap_in_any_way_are_settled_one_at_a_time_within_what_they_were() -> None:
    rng = np.random.default_rng(2)
    for _ in range(2000):
        starts, lengths = rng.uniform(0, 10, 5).round(1), rng.uniform(0.5, 8, 5).round(1)
        runs = [
            _Run(label, start, start + length, 0.5, height)
            for label, start, length, height in zip(
                "abcde", starts, lengths, rng.choice([0.4, 0.6, 1.0], 5), strict=True
            )
        ]
        found = sorted(Track()._settled(runs, sorted(rng.uniform(0, 18, 3))), key=lambda each: each.start)
        assert all(a.start < a.end <= b.start for a, b in pairwise([*found, _Run("", 99.0, 100.0, 0.0)]))
        for each in found:
            (run,) = (run for run in runs if run.label == each.label)
            assert run.start <= each.start < each.end <= run.end


def test_a_shot_that_ends_with_both_takes_neither_away() -> None:
    runs = [_Run("a", 0.0, 10.0, 0.5), _Run("b", 5.0, 10.0, 0.5)]
    assert [each.label for each in Track()._settled(runs, [10.0])] == ["a", "b"]


def test_two_that_compete_meet_where_a_shot_changes() -> None:
    both = seen_of([(0, 10.0, 20.0), (1, 20.0, 30.0)])
    (first, second) = track_of(both).segments()
    assert (first.end, second.start) == (pytest.approx(20.0, abs=0.3), first.end)
    for border in np.arange(18.5, 21.6, 0.1):
        found = track_of(both).segments([float(border)])
        labels = [segment.label for segment in found]
        assert labels == sorted(labels, reverse=True), (border, found)  # walking, then sitting, without a way back
        assert all(before.end <= after.start for before, after in pairwise(found))


def test_independent_labels_do_not_compete() -> None:
    both = seen_of([(0, 10.0, 20.0), (1, 10.0, 20.0)])
    windows = [window(each.frames.start or 0.0, each.similarities, counted=(0, 1)) for each in both]
    found = track_of(windows, independent=frozenset(LABELS)).segments()
    assert [segment.label for segment in found] == ["sitting", "walking"]


def test_a_threshold_is_kept_to() -> None:
    windows = seen_of([(0, 10.0, 20.0)])
    assert track_of(windows, thresholds={"walking": 0.5}).segments()
    refused = [window(each.frames.start or 0.0, each.similarities, counted=()) for each in windows]
    assert track_of(refused, thresholds={"walking": 0.99}).segments() == []


def test_no_segment_crosses_the_border_of_a_shot() -> None:
    found = track_of(seen_of([(0, 10.0, 20.0)])).segments(borders=[15.0, 40.0])
    assert [segment.label for segment in found] == ["walking", "walking"]
    assert (found[0].end, found[1].start) == (15.0, 15.0)


def test_damage_and_gaps_are_told_and_nothing_goes_on_across_a_gap() -> None:
    parts = [*range(4), *range(20, 24)]
    track = track_of([window(float(start), (0.3, 0.2), damaged=start in (1, 2, 22)) for start in parts])
    assert track.damaged_stretches() == [(1.0, 4.0), (22.0, 24.0)]
    assert track.gaps() == [(5.0, 20.0)]
    assert [(each.start, each.end) for each in track.segments()] == [(0.0, 5.0), (20.0, 25.0)]


def test_windows_of_the_past_can_be_forgotten() -> None:
    track = track_of(seen_of([(0, 50.0, 56.0)]))
    track.forget_before(40.0)
    assert track.spans[0] == (38.0, 40.0)
    assert len(track.spans) == len(track.scores) == len(track.damaged)
    assert [segment.label for segment in track.segments()] == ["walking"]


def test_a_track_refuses_windows_that_do_not_follow() -> None:
    track = track_of(seen_of([]))
    with pytest.raises(ValueError, match="does not follow the ones before"):
        track.add(window(0.0, (0.1, 0.2)))
    with pytest.raises(ValueError, match="other labels"):
        track.add(window(70.0, (0.1, 0.2), labels=("a", "b")))


def test_nothing_was_seen_and_nothing_is_told() -> None:
    assert Track().segments() == []
    assert Track().damaged_stretches() == []


def test_a_window_leaves_little_behind() -> None:
    """Two hours are 14,000 windows: an array or a tensor kept of each would be megabytes."""
    track = Track()
    track.add(window(0.0, [0.2, 0.19]))
    tracemalloc.start()
    try:
        for number in range(1, 4000):
            track.add(window(number * STRIDE, [0.2, 0.19]))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert track.scores.shape == (len(track.spans), len(LABELS)) == (4000, 2)
    assert held < 4000 * 300
    track.forget_before(track.spans[-1][0])
    assert len(track.scores) == len(track.spans) < 10


def test_curves_of_a_model_without_similarities_are_those_of_its_scores() -> None:
    rows: list[NDArray[np.float64]] = []
    track = Track()
    for each in seen_of([(0, 10.0, 20.0)]):
        track.add(Prediction(each.video, each.labels, each.scores, None, each.frames))
        rows.append(each.scores.float().numpy())
    assert np.array_equal(track.scores, np.array(rows))
    assert all(segment.label == "walking" for segment in track.segments())
