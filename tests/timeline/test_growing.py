"""Files that are read while they grow, and those that cannot be."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from crossframe import VideoError
from crossframe.timeline.growing import comes_last, is_complete
from crossframe.timeline.live import Live
from crossframe.timeline.segments import Segment
from crossframe.timeline.watch import Watch
from tests.timeline.test_stream import RATE, film, stream_of
from tests.video.clips import write_clip

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


def test_a_fragmented_mp4_is_followed_from_its_first_bytes_on(tmp_path: Path) -> None:
    """FFmpeg writes the first fragment when it has a whole group of pictures."""
    path = write_clip(
        tmp_path / "a.mp4", frames=film(15, [(0, 5.0, 9.0)]), rate=RATE, options={"g": "50"}, muxing=FRAGMENTED
    )
    data = path.read_bytes()
    first = data.index(b"moof") - 4
    for begin in (8, data.index(b"mvex") - 4, first - 8, first, first + 100):
        growing = tmp_path / f"{begin}.mp4"
        growing.write_bytes(data[:begin])
        left = [data[begin : begin + 20_000], data[begin + 20_000 :]]

        def grow(_: float, growing: Path = growing, left: list[bytes] = left) -> None:
            if left:
                with growing.open("ab") as file:
                    file.write(left.pop(0))

        (segment,) = Watch(Live(str(growing), idle=0.2, sleep=grow), stream_of())
        assert isinstance(segment, Segment)
        assert (segment.label, segment.start) == ("red", pytest.approx(5, abs=0.4))


def test_an_mp4_says_by_its_boxes_how_it_can_be_read(tmp_path: Path) -> None:
    kinds = {"last": {}, "first": {"movflags": "faststart"}, "fragmented": FRAGMENTED}
    files = {name: write_clip(tmp_path / f"{name}.mp4", muxing=options) for name, options in kinds.items()}
    assert [is_complete(path) for path in files.values()] == [True, True, False]
    assert [comes_last(path.read_bytes()) for path in files.values()] == [True, False, False]
    begun = files["last"].read_bytes().index(b"mdat") + 4
    for size, complete in ((0, False), (4, False), (20, False), (begun, True)):
        (tmp_path / "cut.mp4").write_bytes(files["last"].read_bytes()[:size])
        assert is_complete(tmp_path / "cut.mp4") == complete
    assert not is_complete(write_clip(tmp_path / "a.ts"))
    assert not is_complete(tmp_path)


def test_an_mp4_that_is_still_written_is_told_why_it_cannot_be_read(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(VideoError, match=r"b\.mp4: is an MP4 whose index comes last"):
        list(Watch(Live(str(tmp_path / "b.mp4"), idle=0.1), stream_of()))
    with av.open(str(tmp_path / "a.mp4")) as whole:
        assert whole.streams.video[0].frames > 0


@pytest.mark.parametrize("size", [0, 1, 7, 0xFFFFFFFF])
def test_boxes_of_any_size_are_passed(tmp_path: Path, size: int) -> None:
    begin = b"\0\0\0\x10ftypisom\0\0\0\0" + size.to_bytes(4, "big") + b"moov"
    for rest in (b"", b"\0\0\0\0\0\0\0\x10", b"\xff" * 64, b"\0" * 64):
        (tmp_path / "a.mp4").write_bytes(begin + rest)
        whole = size == 0 or (size == 1 and rest[:7] == bytes(7))  # and in the others, the index is not all there
        assert is_complete(tmp_path / "a.mp4") == whole
        assert not comes_last(begin + rest)
        with pytest.raises(VideoError, match=r"a\.mp4: "):
            list(Watch(Live(str(tmp_path / "a.mp4"), idle=0.1, sleep=lambda _: None), stream_of()))
