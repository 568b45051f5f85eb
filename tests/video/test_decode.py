from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from crossframe.video.decode import Frames, VideoError, read_video
from crossframe.video.media import open_media
from crossframe.video.sample import sparse
from tests.video.clips import Pictures, cut_start, decode_fully, moving, write_clip
from tests.video.kinds import KINDS

Clip = Callable[[str], Path]

SHARED_CLIPS = [
    "arm_wrestling.mp4",
    "av1_video.mkv",
    "dog_mpeg4.mp4",
    "full_hd_h264.mp4",
    "h264_10bits.mp4",
    "h265_10bits.mp4",
    "hd_bt709_full_range.mp4",
    "no_packet_pts_mpeg4.avi",
    "six_fps_h264.mp4",
    "ten_seconds_h264.mp4",
]


def assert_exact(frames: Frames, full: list[Pictures]) -> None:
    assert frames.total == len(full)
    expected = np.stack([full[index] for index in frames.indices.tolist()]).transpose(0, 3, 1, 2)
    assert np.array_equal(frames.pixels.numpy(), expected)


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_of_a_full_decode(clip: Clip, name: str) -> None:
    path = clip(name)
    full = decode_fully(path)
    for num_frames in (1, 4, 8, 16, 32):
        frames = read_video(path, num_frames)
        assert frames.indices.tolist() == [int((i + 0.5) * len(full) / num_frames) for i in range(num_frames)]
        assert_exact(frames, full)
        assert frames.missing == 0
        assert not frames.damaged.any()


@pytest.mark.parametrize("name", KINDS)
def test_every_single_frame_can_be_asked_for(clip: Clip, name: str) -> None:
    path = clip(name)
    full = decode_fully(path)
    for index in range(0, len(full), 3):
        assert_exact(read_video(path, indices=[index]), full)


@pytest.mark.parametrize("name", SHARED_CLIPS)
def test_real_clips(shared: Path, name: str) -> None:
    path = shared / "videos" / name
    full = decode_fully(path)
    for num_frames in (1, 4, 8, 16, 32):
        frames = read_video(path, num_frames)
        assert frames.indices.tolist() == sparse(len(full), num_frames)
        assert_exact(frames, full)


def test_bytes_and_paths_give_the_same(clip: Clip) -> None:
    path = clip("h264.mp4")
    from_bytes, from_path = read_video(path.read_bytes()), read_video(str(path))
    assert torch.equal(from_bytes.pixels, from_path.pixels)
    assert from_bytes.source == "<bytes>"
    assert from_path.source == str(path)


@pytest.mark.parametrize("kind", ["channels first", "channels last", "tensor"])
def test_arrays_are_sampled(kind: str) -> None:
    pictures = moving(20)
    source = {
        "channels first": pictures.transpose(0, 3, 1, 2),
        "channels last": pictures,
        "tensor": torch.from_numpy(pictures),
    }[kind]
    frames = read_video(source, 4)
    assert frames.indices.tolist() == [2, 7, 12, 17]
    assert_exact(frames, list(pictures))


def test_indices_may_be_a_list_in_any_order_with_repeats(clip: Clip) -> None:
    path = clip("h264_pyramid.mp4")
    frames = read_video(path, indices=[80, 3, 80, 0])
    assert frames.indices.tolist() == [80, 3, 80, 0]
    assert_exact(frames, decode_fully(path))


def test_indices_may_be_a_rule(clip: Clip) -> None:
    frames = read_video(clip("h264.mp4"), indices=lambda total: [total - 1, total // 2])
    assert frames.indices.tolist() == [29, 15]


def test_dense_sampling_takes_neighbors(clip: Clip) -> None:
    assert read_video(clip("h264_pyramid.mp4"), 4, sampling="dense").indices.diff().tolist() == [4, 4, 4]


@pytest.mark.parametrize(("degrees", "size"), [(90, (64, 48)), (180, (48, 64)), (270, (64, 48))])
def test_rotation_is_applied(tmp_path: Path, degrees: int, size: tuple[int, int]) -> None:
    path = write_clip(tmp_path / "turned.mp4", rotation=degrees)
    upright = [np.rot90(picture, degrees // 90) for picture in decode_fully(path)]
    for num_frames in (1, 4, 8, 16, 32):
        frames = read_video(path, num_frames)
        assert frames.pixels.shape[2:] == size
        assert_exact(frames, upright)


@pytest.mark.parametrize("name", ["h264_uneven.mp4", "h264_uneven.mkv"])
def test_times_of_uneven_frames(clip: Clip, name: str) -> None:
    frames = read_video(clip(name), indices=range(30))
    expected = torch.tensor(KINDS[name]["times"], dtype=torch.float64) / 25
    assert torch.allclose(frames.times.diff(), expected.diff(), atol=2e-3)  # Matroska counts milliseconds


def test_times_of_a_late_stream_are_those_of_the_file(clip: Clip) -> None:
    assert read_video(clip("h264_late.mkv"), indices=[0, 29]).times.tolist() == pytest.approx([4.0, 5.16])


def test_times_come_from_the_frame_rate_where_the_file_has_none(shared: Path) -> None:
    frames = read_video(shared / "videos" / "no_packet_pts_mpeg4.avi", 8)
    assert (frames.times.diff() > 0).all()


def test_short_side_scales_down_but_never_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", frames=moving(4, 160, 90))
    assert read_video(path, 2, short_side=45).pixels.shape == (2, 3, 45, 80)
    assert read_video(path, 2, short_side=90).pixels.shape == (2, 3, 90, 160)
    assert read_video(path, 2, short_side=200).pixels.shape == (2, 3, 90, 160)


def test_scaled_frames_show_the_same_picture(tmp_path: Path) -> None:
    y, x = np.mgrid[0:90, 0:160]
    picture = np.stack([x, 2 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    path = write_clip(tmp_path / "smooth.mp4", frames=np.stack([picture] * 3), options={"crf": "5"})
    small = read_video(path, 1, short_side=45).pixels[0].float()
    full = torch.nn.functional.avg_pool2d(read_video(path, 1).pixels[0].float(), 2)
    assert (small - full).abs().mean() < 2


def test_square_pixels_stretch_by_the_pixel_aspect(shared: Path) -> None:
    path = shared / "videos" / "arm_wrestling.mp4"  # pixels of 64:51
    assert read_video(path, 1).pixels.shape[2:] == (256, 340)
    assert read_video(path, 1, square_pixels=True).pixels.shape[2:] == (256, 427)


def test_a_file_can_be_opened_without_decoding_its_first_frames(clip: Clip) -> None:
    with open_media(clip("two_frames.mp4"), "", probe=False) as media:
        assert media.stream.codec_context.pix_fmt is None  # which only pictures tell
        assert media.stream.codec_context.width
    with open_media(clip("two_frames.mp4"), "") as media:
        assert media.stream.codec_context.pix_fmt == "yuv420p"


def test_square_pixels_where_only_the_coded_pictures_tell_their_aspect(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", frames=moving(12, 96, 64), options={"x264-params": "sar=4/3"})
    assert b"pasp" not in path.read_bytes()
    assert read_video(path, 1, square_pixels=True).pixels.shape[2:] == (64, 128)


def test_a_short_video_repeats_frames_and_says_so(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    path = clip("two_frames.mp4")
    with caplog.at_level(logging.WARNING, "crossframe"):
        frames = read_video(path, 8)
    assert frames.indices.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: has 2 frames, 8 were wanted; some are repeated"
    ]


def test_a_truncated_file_gives_the_frames_that_exist(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = write_clip(tmp_path / "whole.mkv", frames=60, options={"crf": "10"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING, "crossframe"):
        frames = read_video(cut, 4)
    assert 10 < frames.total < 50
    assert frames.total + frames.missing == pytest.approx(60, abs=4)
    assert f"{cut}: {frames.missing} of its frames are missing" in caplog.text
    full = decode_fully(whole)
    assert np.array_equal(frames.pixels[0].permute(1, 2, 0).numpy(), full[frames.indices[0]])


@pytest.mark.parametrize("cut", [7, 20, 25])
def test_frames_that_an_edit_hides_are_no_frames(tmp_path: Path, cut: int) -> None:
    whole = write_clip(tmp_path / "whole.mp4", frames=60, options={"x264-params": "keyint=20:bframes=3"})
    path = cut_start(whole, tmp_path / "cut.mp4", cut)
    frames = read_video(path, 8)
    assert frames.total == 60 - cut
    assert frames.missing == 0
    assert_exact(frames, decode_fully(whole)[cut:])


@pytest.mark.parametrize("name", ["a:b.mp4", "100%d #1?.mp4", "-i.mp4", "\u00fc \u20ac.mp4"])
def test_names_mean_nothing_to_ffmpeg(tmp_path: Path, clip: Clip, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(clip("h264.mp4").read_bytes())
    assert read_video(path, 1).total == 30


def test_missing_frames_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "cut.mp4", frames=60, muxing={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: (data.index(b"mdat") + len(data)) // 2])
    with caplog.at_level(logging.WARNING, "crossframe"):
        frames = read_video(path, 4)
    assert frames.missing > 10
    assert frames.total + frames.missing == pytest.approx(60, abs=4)
    assert f"{path}: {frames.missing} of its frames are missing" in caplog.text


def test_damaged_frames_are_marked(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "damaged.mp4", frames=moving(30, 128, 96), options={"bf": "0", "g": "100"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(range(200))
    path.write_bytes(data)
    frames = read_video(path, indices=lambda total: range(total))
    assert frames.damaged.any() or frames.missing
    assert not frames.damaged[0]


def test_what_is_no_video_is_one_line_that_names_it(tmp_path: Path, clip: Clip) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are notes\n" * 40)
    text_as_video = tmp_path / "notes.mp4"
    text_as_video.write_text("these are notes\n" * 40)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip("h264.mp4").read_bytes()[:400])
    sources: list[Path | bytes] = [
        tmp_path / "missing.mp4",
        tmp_path,
        empty,
        text,
        text_as_video,
        cut,
        _write_sound(tmp_path / "sound.mp4"),
        b"",
        b"no video",
    ]
    for source in sources:
        with pytest.raises(VideoError) as caught:
            read_video(source)
        message = str(caught.value)
        assert message.startswith("<bytes>: " if isinstance(source, bytes) else f"{source}: ")
        assert "\n" not in message


def _write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 0}, "0 frames were asked for; use 1 or more"),
        ({"num_frames": -3}, "-3 frames were asked for"),
        ({"sampling": "random"}, "sampling 'random' is unknown; use 'sparse', 'dense' or 'time'"),
        ({"indices": []}, "no frame was asked for"),
        ({"indices": [3, 30]}, "has no frame 30; its 30 frames are 0 to 29"),
        ({"indices": [-1]}, "has no frame -1"),
        ({"short_side": 0}, "a short side of 0 is not possible"),
    ],
)
def test_impossible_wishes(clip: Clip, options: dict[str, object], message: str) -> None:
    with pytest.raises(VideoError, match=message) as caught:
        read_video(clip("h264.mp4"), **options)  # pyright: ignore[reportArgumentType]
    assert str(clip("h264.mp4")) in str(caught.value)


def test_arrays_that_are_no_frames() -> None:
    for source in (torch.zeros(4, 3, 8, 8), np.zeros((4, 8, 8), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)):
        with pytest.raises(VideoError, match="give uint8 frames"):
            read_video(source)  # pyright: ignore[reportArgumentType]


def test_arrays_that_run_backwards_are_read_like_their_copies() -> None:
    pictures = moving(6)[..., ::-1]  # OpenCV's blue green red turned round
    read = read_video(pictures, 3)
    assert torch.equal(read.pixels, read_video(pictures.copy(), 3).pixels)
    assert torch.equal(read.pixels[0], torch.from_numpy(pictures[int(read.indices[0])].copy()).permute(2, 0, 1))


@pytest.mark.parametrize("source", [7, None], ids=["number", "nothing"])
def test_what_is_no_video_is_refused_by_its_type(source: object) -> None:
    with pytest.raises(VideoError, match=f"^{type(source).__name__} is no video; give a path or an address, the bytes"):
        read_video(source)  # pyright: ignore[reportArgumentType]


def test_frames_check_their_shapes() -> None:
    good = read_video(moving(4), 2)
    assert len(good) == 2
    with pytest.raises(ValueError, match="indices is"):
        Frames(good.pixels, good.indices[:1], good.times, 4, good.damaged, 0, "x")
    with pytest.raises(ValueError, match="pixels are"):
        Frames(good.pixels.float(), good.indices, good.times, 4, good.damaged, 0, "x")
    with pytest.raises(ValueError, match="outside"):
        Frames(good.pixels, good.indices, good.times, 1, good.damaged, 0, "x")
