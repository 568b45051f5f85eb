"""Files with several streams, odd metadata, uneven times and edits, and clips that are no files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from crossframe.video.decode import VideoError, read_video
from crossframe.video.exact import open_video
from tests.video.clips import Pictures, decode_fully, moving, write_clip

Clip = Callable[[str], Path]


def write_streams(path: Path, streams: list[tuple[Pictures, Disposition]], cover: bool = False) -> Path:
    """A file with these streams of H.264, and perhaps a picture attached before them."""
    with av.open(str(path), "w") as container:
        made = []
        if cover and path.suffix == ".mkv":
            container.add_attachment("cover.png", "image/png", _png())
        elif cover:
            image = container.add_stream("mjpeg", rate=25)
            image.width, image.height, image.pix_fmt = 640, 480, "yuvj420p"
            image.disposition = Disposition.attached_pic
        for pictures, disposition in streams:
            stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt, stream.disposition = "yuv420p", disposition
            made.append(stream)
        if cover and path.suffix != ".mkv":
            frame = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 200, np.uint8), format="rgb24")
            container.mux(image.encode(frame.reformat(format="yuvj420p")))
        for number in range(12):
            for stream, (pictures, _) in zip(made, streams, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pictures[number]), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in made:
            container.mux(stream.encode(None))
    return path


def _png() -> bytes:
    data = BytesIO()
    Image.new("RGB", (640, 480), "white").save(data, "png")
    return data.getvalue()


def flat(value: int, width: int = 64, height: int = 48) -> Pictures:
    return np.full((12, height, width, 3), value, dtype=np.uint8)


NONE, DEFAULT = Disposition(0), Disposition.default


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([(flat(40), NONE), (flat(200), DEFAULT)], 200),
        ([(flat(40), DEFAULT), (flat(200, 128, 96), NONE)], 40),
        ([(flat(40), NONE), (flat(200, 128, 96), NONE)], 200),
        ([(flat(40), NONE), (flat(200), NONE)], 40),
    ],
    ids=["the default", "the default before the largest", "the largest", "the first"],
)
def test_the_stream_is_the_one_that_ffmpeg_would_take(
    tmp_path: Path, streams: list[tuple[Pictures, Disposition]], expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_streams(tmp_path / "two.mkv", streams)
    with caplog.at_level(logging.WARNING, "crossframe"):
        frames = read_video(path, 2)
    assert abs(int(frames.pixels.float().mean()) - expected) < 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        f"{path}: has 2 video streams, of which {int(expected == streams[1][0][0, 0, 0, 0])} is read"
    )


def test_a_stream_can_be_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_streams(tmp_path / "two.mkv", [(flat(40), NONE), (flat(200), DEFAULT)])
    with caplog.at_level(logging.WARNING, "crossframe"):
        means = [read_video(path, 2, stream=stream).pixels.float().mean() for stream in (0, 1)]
    assert means == pytest.approx([40, 200], abs=3)
    assert not caplog.records
    for stream in (2, -1):
        with pytest.raises(VideoError, match=f"has no video stream {stream}; its 2 are 0 to 1"):
            read_video(path, 2, stream=stream)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_an_attached_picture_is_no_stream(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write_streams(tmp_path / f"cover.{suffix}", [(flat(40), DEFAULT)], cover=True)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    with caplog.at_level(logging.WARNING, "crossframe"):
        frames = read_video(path, 4)
    assert frames.pixels.shape == (4, 3, 48, 64)
    assert (frames.total, len(caplog.records)) == (12, 0)


@pytest.mark.parametrize("name", ["moving.avif", "moving.gif", "moving.png"])
def test_an_animation_is_read_and_not_its_cover(tmp_path: Path, name: str) -> None:
    values = [20, 90, 160, 230]
    first, *others = [Image.new("RGB", (64, 48), (value, value, value)) for value in values]
    first.save(tmp_path / name, save_all=True, append_images=others, duration=100)
    frames = read_video(tmp_path / name, 4)
    assert frames.total == 4
    assert frames.pixels.float().mean(dim=(1, 2, 3)).tolist() == pytest.approx(values, abs=4)


def test_an_animated_webp_is_said_to_be_one(tmp_path: Path) -> None:
    first, other = (Image.new("RGB", (64, 48), color) for color in ("red", "blue"))
    path = tmp_path / "moving.webp"
    first.save(path, save_all=True, append_images=[other], duration=100)
    with pytest.raises(VideoError, match=r"is an animated WebP, .*; convert it to \.gif or \.mp4"):
        read_video(path, 2)
    first.save(tmp_path / "still.webp")
    assert read_video(tmp_path / "still.webp", 2).total == 1


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_metadata_in_any_encoding_does_not_matter(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLE of some length"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in moving(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert b"TITLE" in data
    path.write_bytes(data.replace(b"TITLE", b"Caf\xe9 "))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert read_video(path, 2).total == 6


UNEVEN = [*range(0, 20), *range(30, 330, 30)]  # in 1/25 s: 20 frames in 0.8 s, then one each 1.2 s


def test_even_times_are_not_even_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "screen.mp4", times=UNEVEN)
    with caplog.at_level(logging.WARNING, "crossframe"):
        by_time = read_video(path, 6, sampling="time")
    assert not caplog.records
    end = UNEVEN[-1] + 30  # the muxer takes the last frame for as long as the one before
    for index, number in zip(by_time.indices.tolist(), range(6), strict=True):
        at = (number + 0.5) * end / 6
        assert UNEVEN[index] <= at
        assert index + 1 == len(UNEVEN) or at < UNEVEN[index + 1]
    full = decode_fully(path)
    shown = np.stack([full[index] for index in by_time.indices.tolist()])
    assert np.array_equal(by_time.pixels.permute(0, 2, 3, 1).numpy(), shown)
    with caplog.at_level(logging.WARNING, "crossframe"):
        by_count = read_video(path, 6)
    assert by_count.indices.tolist() != by_time.indices.tolist()
    assert "0.04 to 1.2 seconds lie between its frames; sampling 'time' goes by the clock" in caplog.text


def test_even_times_are_even_counts_where_frames_come_evenly(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("h264.mp4", "mpeg4.avi", "h264.ts", "h264.h264"):
        with caplog.at_level(logging.WARNING, "crossframe"):
            assert read_video(clip(name), 5, sampling="time").indices.equal(read_video(clip(name), 5).indices)
    assert not caplog.records


def test_an_empty_edit_before_a_trim_is_no_early_end(shared: Path) -> None:
    frames = read_video(shared / "field" / "videos" / "empty_then.mp4", 8)
    assert (frames.total, frames.missing) == (25, 0)


def test_a_list_of_pictures_is_a_clip() -> None:
    pictures = moving(6)
    expected = read_video(pictures, 3)
    for clip in (
        list(pictures),
        tuple(Image.fromarray(picture) for picture in pictures),
        [picture.transpose(2, 0, 1) for picture in pictures],
    ):
        assert read_video(clip, 3).pixels.equal(expected.pixels)
    gray = read_video([Image.fromarray(picture).convert("L") for picture in pictures], 3)
    assert gray.pixels.shape == expected.pixels.shape
    for wrong in ([], [pictures[0], pictures[0][:20]], ["a.png"], [pictures[0][..., 0]]):
        with pytest.raises(VideoError, match="<array>: is"):
            read_video(wrong)


def test_bytes_may_come_in_any_kind(clip: Clip) -> None:
    data = clip("h264.mp4").read_bytes()
    for kind in (bytearray, memoryview):
        assert read_video(kind(data), 2).pixels.equal(read_video(data, 2).pixels)
    with pytest.raises(VideoError, match="<bytes>: is empty"):
        read_video(bytearray())


def test_ranges_of_time_come_from_one_scan(clip: Clip) -> None:
    with open_video(clip("h264_pyramid.mp4")) as video:
        assert video.frame_range(0.4, 0.8) == (10, 20)
        assert video.frame_range(None, None) == (0, 90)
        with pytest.raises(VideoError, match=r"has no frame from 4\.0 s on; its last is at 3\.56 s"):
            video.frame_range(4.0, None)
