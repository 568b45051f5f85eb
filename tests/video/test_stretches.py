"""Parts of a video read in one pass: each as if it had been read alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossframe.video import stretches
from crossframe.video.exact import Decoded, OpenVideo, open_video, read_arrays
from crossframe.video.given import Video, VideoError
from crossframe.video.stretches import Span, read_parts
from tests.video.clips import moving, packets_of, write_clip
from tests.video.kinds import KINDS, mpeg4
from tests.video.test_damage import damaged

Clip = Callable[[str], Path]


def spans_of(length: float, window: float, stride: float) -> list[Span]:
    starts = np.arange(0.0, max(length - window, 0.0) + 1e-9, stride)
    return [(float(start), float(start) + window) for start in starts]


def alone(source: Path | bytes, span: Span, **options: Any) -> Decoded | VideoError:
    try:
        return read_arrays(Video(source, *span), 4, **options)
    except VideoError as error:
        return error


def in_one_pass(source: Path | bytes, spans: Sequence[Span], **options: Any) -> list[Decoded | VideoError]:
    with open_video(source) as video:
        return list(read_parts(video, spans, 4, **options))


def assert_like_alone(source: Path | bytes, spans: Sequence[Span], **options: Any) -> list[Decoded]:
    found = in_one_pass(source, spans, **options)
    assert len(found) == len(spans)
    for span, part in zip(spans, found, strict=True):
        expected = alone(source, span, **options)
        if isinstance(expected, VideoError):
            assert isinstance(part, VideoError), span
            continue
        assert isinstance(part, Decoded), part
        assert (part.start, part.end) == span
        assert part.indices.tolist() == expected.indices.tolist(), span
        assert np.array_equal(part.pixels, expected.pixels), span
        assert np.array_equal(part.times, expected.times, equal_nan=True), span
        assert part.damaged.tolist() == expected.damaged.tolist(), span
        assert (part.total, part.missing, part.notes) == (expected.total, expected.missing, expected.notes)
    return [part for part in found if isinstance(part, Decoded)]


@pytest.mark.parametrize("name", KINDS)
def test_each_part_has_the_frames_of_itself_alone(clip: Clip, name: str) -> None:
    path = clip(name)
    with open_video(path) as video:
        length = video.duration
    window = max(length / 3, 0.001)
    assert assert_like_alone(path, spans_of(length, window, window / 3))


@pytest.mark.parametrize("sampling", ["dense", "time"])
def test_frames_are_chosen_by_the_rule_that_was_asked_for(clip: Clip, sampling: str) -> None:
    assert_like_alone(clip("h264_uneven.mp4"), spans_of(3.0, 1.0, 0.25), sampling=sampling)


def test_frames_are_scaled_down_as_they_are_decoded(clip: Clip) -> None:
    found = assert_like_alone(clip("h264.mp4"), spans_of(1.0, 0.5, 0.1), short_side=24)
    assert found[0].pixels.shape[1:3] == (24, 32)


def test_a_part_without_a_frame_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "gap.mp4", frames=20, times=[*range(10), *range(100, 110)])
    found = in_one_pass(path, [(0.0, 0.4), (1.0, 2.0), (2.0, 3.0), (4.0, 4.4)])
    assert [isinstance(part, VideoError) for part in found] == [False, True, True, False]
    assert "has no frame from 1.0 to 2.0 s" in str(found[1])


def test_few_frames_are_held_however_long_the_video_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "long.mp4", frames=600, options={"g": "25"})
    most: list[int] = []
    drop = stretches._Shelf.drop_before

    def watched(shelf: Any, index: int) -> None:
        most.append(len(shelf.kept))
        drop(shelf, index)

    monkeypatch.setattr(stretches._Shelf, "drop_before", watched)
    assert len(in_one_pass(path, spans_of(24.0, 2.0, 0.5))) == 45
    assert max(most) <= 4 * 2.0 / 0.5 + 4


def test_one_pass_decodes_each_frame_once(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bool] = []
    start = OpenVideo.start

    def counted(video: OpenVideo, *, probe: bool) -> Any:
        begun.append(probe)
        return start(video, probe=probe)

    monkeypatch.setattr(OpenVideo, "start", counted)
    assert len(in_one_pass(clip("h264.mp4"), spans_of(1.2, 0.4, 0.1))) == 9
    assert begun == [False]


DAMAGED: dict[str, dict[str, Any]] = {
    "h264.mkv": {"options": {"g": "12", "x264-params": "bframes=2:b-adapt=0:keyint=12:min-keyint=12"}},
    "h264.ts": {"options": {"g": "12", "x264-params": "bframes=2:b-adapt=0:keyint=12:min-keyint=12"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12"}},
    "mpeg4.avi": mpeg4(bf="2", g="12"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_of_the_parts_that_show_it(tmp_path: Path, name: str) -> None:
    """A part that alone is read in full is the same; one that damage elsewhere does not reach may be read by plan."""
    path = write_clip(tmp_path / name, **{"frames": moving(60, 96, 64), **DAMAGED[name]})
    sound = path.read_bytes()
    # MPEG-TS cuts pictures into packets of its own, whose bodies are damaged here.
    within = [sound[place + 8 : place + 188] for place in range(188 * 5, len(sound), 188)]
    packets = within if name.endswith(".ts") else packets_of(path)
    spans = spans_of(2.4, 0.8, 0.4)
    told = same = 0
    for seed in range(12):
        rng = random.Random(seed)
        broken = damaged(sound, rng.choice([packet for packet in packets if len(packet) > 20]), rng)
        found = in_one_pass(broken, spans)
        for span, part in zip(spans, found, strict=True):
            expected = alone(broken, span)
            if isinstance(part, VideoError) or isinstance(expected, VideoError):
                assert type(part) is type(expected), (seed, span, part, expected)
            elif part.total == expected.total and part.indices.tolist() == expected.indices.tolist():
                assert np.array_equal(part.pixels, expected.pixels), (seed, span)
                assert not (expected.damaged & ~part.damaged).any(), (seed, span)
                same += 1
            told += not isinstance(part, VideoError) and bool(part.damaged.any())
    assert told or name == "hevc.mp4"  # whose decoder repairs these in silence, in either way of reading
    assert same > 12 * len(spans) / 2


def test_a_video_that_is_cut_off_ends_with_its_last_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "whole.ts", frames=100, options={"g": "10", "bf": "0"})
    data = path.read_bytes()
    found = in_one_pass(data[: len(data) // 2], spans_of(4.0, 0.4, 0.4))
    kinds = [isinstance(part, VideoError) for part in found]
    assert kinds == sorted(kinds)
    assert kinds[0] is False
    assert kinds[-1] is True
