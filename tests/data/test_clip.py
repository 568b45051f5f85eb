"""What training and testing may share: nothing, or a recording at most, and not in silence."""

from __future__ import annotations

import pytest

from crossframe.data.clip import Clip, OverlapError, check_apart


def stretch(start: float | None, end: float | None, split: str, path: str = "a.mp4") -> Clip:
    return Clip(path, "run", split, start, end)


@pytest.mark.parametrize(
    ("clips", "names"),
    [
        ([stretch(0, 5, "train"), stretch(2, 7, "test")], ["a.mp4#t=2,7 (train, test)"]),
        ([stretch(None, None, "train"), stretch(3, 4, "test")], ["a.mp4#t=3,4 (train, test)"]),
        ([stretch(3, 4, "test"), stretch(None, 9, "train")], ["a.mp4#t=3,4 (train, test)"]),
        ([stretch(3, None, "val"), stretch(8, 9, "val"), stretch(20, 21, "train")], ["a.mp4#t=20,21 (val, train)"]),
        (
            [stretch(0, 9, "train"), stretch(1, 2, "train"), stretch(3, 4, "val"), stretch(3, 4, "test")],
            ["a.mp4#t=3,4 (train, val, test)"],
        ),
    ],
)
def test_stretches_that_overlap_are_refused(clips: list[Clip], names: list[str]) -> None:
    with pytest.raises(OverlapError) as raised:
        check_apart(clips)
    assert raised.value.names == names


def test_what_only_comes_from_one_recording_is_told() -> None:
    apart = [stretch(0, 5, "train"), stretch(5, 7, "test"), stretch(0, 9, "test", "b.mp4")]
    assert (check_apart(apart) or "").startswith("1 recordings have clips in several splits: a.mp4 (train, test); ")
    grouped = [Clip("a.mp4", "run", "val", group="film"), Clip("b.mp4", "walk", "train", group="film")]
    assert "film (val, train)" in (check_apart(grouped) or "")
    assert check_apart([stretch(0, 5, "train"), stretch(3, 8, "train"), stretch(0, 1, "test", "b.mp4")]) is None
