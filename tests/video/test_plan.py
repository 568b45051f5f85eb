from __future__ import annotations

import doctest
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from crossframe.video import exact, headers, media
from crossframe.video.exact import open_video
from crossframe.video.headers import Bits, Picture, Piece, Unproven
from crossframe.video.media import Media, VideoPacket, open_media
from crossframe.video.plan import Plan, Scan, scan
from crossframe.video.sample import Wanted
from tests.video.clips import decode_fully, moving, packets_of, rewrite, write_clip
from tests.video.fields import write_fields
from tests.video.kinds import PROVEN, UNPROVEN, av1, vp9

Clip = Callable[[str], Path]


def scan_file(path: Path) -> Scan:
    with open_media(path, path.name) as media:
        return scan(media)


def test_documented_examples_are_true() -> None:
    result = doctest.testmod(headers)
    assert result.attempted > 0
    assert result.failed == 0


def test_what_breaks_off_is_not_proven(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", frames=60)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert scan_file(whole).plan is not None
    found = scan_file(tmp_path / "cut.mkv")
    assert found.missing > 0
    assert found.plan is None


@pytest.mark.parametrize("name", PROVEN)
def test_plain_streams_are_proven_and_keep_to_their_plan(
    clip: Clip, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scan_file(clip(name)).plan is not None
    monkeypatch.setattr(exact.OpenVideo, "_decode_all", None)
    exact.read_arrays(clip(name), 4)


@pytest.mark.parametrize("name", UNPROVEN)
def test_other_streams_are_not(clip: Clip, name: str) -> None:
    assert scan_file(clip(name)).plan is None


@pytest.mark.parametrize(
    ("name", "index", "most"),
    [
        ("h264_many_restarts.mp4", 75, 6),  # of 80: the last of eight closed groups, up to the frame
        ("hevc_leading.mkv", 78, 10),  # of 80: the last of five groups, without pictures that no other needs
        ("av1_restarts.mkv", 37, 2),  # of 40: the last of four groups
        ("vp9.mp4", 38, 3),  # of 40: the last of five groups of nine, up to the frame
        ("mpeg4.avi", 38, 3),  # of 40: the last of four groups of twelve, up to the frame
        ("mpeg4_many_b.mkv", 38, 5),
    ],
)
def test_unneeded_packets_are_not_decoded(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, name: str, index: int, most: int
) -> None:
    decoded: list[object] = []
    decode = Media.decode

    def counted(media: Media, packet: object) -> object:
        decoded.append(packet)
        return decode(media, packet)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Media, "decode", counted)
    exact.read_arrays(clip(name), indices=[index])
    assert decoded.pop() is None  # the end
    assert 0 < len(decoded) <= most


@pytest.mark.parametrize("name", ["h264.mp4", "h264.avi", "mpeg4.avi"])
def test_packets_too_many_to_keep_are_read_again(clip: Clip, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = exact.read_arrays(clip(name))
    monkeypatch.setattr("crossframe.video.plan.KEPT_BYTES", 1000)
    assert scan_file(clip(name)).packets is None
    assert np.array_equal(exact.read_arrays(clip(name)).pixels, kept.pixels)


def test_a_damaged_proven_stream_is_decoded_in_full(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "damaged.mp4", frames=moving(30, 128, 96), options={"bf": "0", "g": "100"})
    with av.open(str(path)) as container:
        position, size = [(packet.pos, packet.size) for packet in container.demux(video=0)][15]
    data = bytearray(path.read_bytes())
    middle = position + size // 2
    data[middle : middle + 40] = bytes(range(40))
    path.write_bytes(data)
    assert scan_file(path).plan is not None  # the headers are sound
    decoded = exact.read_arrays(path, indices=lambda total: [0, total - 1])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        full = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert decoded.total == len(full)
    assert np.array_equal(decoded.pixels, np.stack([full[0], full[-1]]))


def joined(packets: list[bytes]) -> list[bytes]:
    """Two packets in one, which then shows two frames."""
    return [*packets[:20], packets[20] + packets[21], *packets[22:]]


def without_its_size(packets: list[bytes]) -> list[bytes]:
    """The single unit of AV1 in the last packet takes what there is."""
    last = packets[-1]
    return [*packets[:-1], bytes([last[0] & ~0b10]) + last[2 if last[1] < 128 else 3 :]]


def in_a_layer(packets: list[bytes]) -> list[bytes]:
    """The single unit of AV1 in the last packet is of temporal layer 1."""
    last = packets[-1]
    return [*packets[:-1], bytes([last[0] | 0b100, 1 << 5]) + last[1:]]


def superframe(packets: list[bytes]) -> list[bytes]:
    """Two packets of VP9 with an index, in one that then shows two frames."""
    frames = packets[20:22]
    marker = bytes([0b110_01_001])
    index = marker + b"".join(len(frame).to_bytes(2, "little") for frame in frames) + marker
    return [*packets[:20], b"".join(frames) + index, *packets[22:]]


@pytest.mark.parametrize(
    ("name", "change"),
    [("av1.mkv", joined), ("av1.mkv", without_its_size), ("av1.mkv", in_a_layer), ("vp9.mp4", superframe)],
)
def test_streams_that_are_not_plain_are_decoded_in_full(
    clip: Clip, tmp_path: Path, name: str, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    packets = packets_of(clip(name))
    path = rewrite(clip(name), tmp_path / "changed.mkv", packets)
    assert scan_file(path).plan is not None
    path = rewrite(clip(name), path, change(packets))
    assert scan_file(path).plan is None
    full = decode_fully(path)
    decoded = exact.read_arrays(path, indices=lambda total: range(total))
    assert decoded.total == len(full) == 40
    assert np.array_equal(decoded.pixels, np.stack(full))
    assert np.array_equal(full, decode_fully(clip(name)))


def picture(restart: bool = False, spare: bool = False, layer: int = 0) -> Picture:
    return Picture(restart, spare, layer)


def test_needed_packets_begin_at_restarts_and_leave_spare_pictures_out() -> None:
    # Packets: I P b P | I b P, where nothing refers to b; shown in the order of packets for simplicity.
    pictures = [picture(True), picture(), picture(spare=True), picture()]
    pictures += [picture(True), picture(spare=True), picture()]
    plan = Plan(pictures, order=range(7), times=range(7))
    assert plan.needed([0]) == [0]
    assert plan.needed([3]) == [0, 1, 3]
    assert plan.needed([2]) == [0, 1, 2]
    assert plan.needed([6]) == [4, 6]
    assert plan.needed([1, 5]) == [0, 1, 4, 5]
    assert plan.shown([0, 1, 4, 5]) == [0, 1, 4, 5]


def test_spare_pictures_of_lower_layers_are_kept() -> None:
    plan = Plan([picture(True), picture(spare=True), picture(spare=True, layer=1)], order=range(3), times=range(3))
    assert plan.needed([2]) == [0, 1, 2]
    plan = Plan([picture(True), picture(spare=True, layer=1), picture(layer=1)], order=range(3), times=range(3))
    assert plan.needed([2]) == [0, 2]


@pytest.mark.parametrize(
    ("order", "needed"),
    [
        ([0, 1, 2, 3, 4, 5], [2, 4, 5]),
        ([0, 2, 1, 3, 4, 5], [0, 1, 2, 4, 5]),  # the picture before the restart is shown after it
        ([0, 1, 3, 2, 4, 5], [2, 4, 5]),  # a spare one after it is shown before: it may need what came before
        ([0, 1, 4, 2, 3, 5], [0, 1, 2, 4, 5]),  # so may one to which others refer
        ([1, 0, 2, 3, 4, 5], []),
    ],
)
def test_a_restart_is_one_in_the_order_of_showing_too(order: list[int], needed: list[int]) -> None:
    pictures = [picture(True), picture(), picture(True), picture(spare=True), picture(), picture()]
    if order[0]:
        with pytest.raises(Unproven, match="begins in the middle"):
            Plan(pictures, order, times=range(6))
    else:
        plan = Plan(pictures, order, times=range(6))
        assert plan.needed([5]) == needed
        assert plan.needed([order.index(3)]) == ([0, 1, 2, 3] if order.index(3) < order.index(2) else [*needed[:-2], 3])


def test_pieces_of_packets_are_decoded_at_the_times_of_their_packets() -> None:
    packets: list[VideoPacket] = []
    for number, data in enumerate([b"first", b"shown, late", b"filler", b"unneeded"]):
        packets.append(cast("VideoPacket", av.Packet(data)))
        packets[-1].pts, packets[-1].time_base = 40 * number, Fraction(1, 1000)
    pieces = [None, Piece(False, 0, 5), Piece(True, 7, 11), None]
    pictures = [Picture(number == 0, spare=number == 2, piece=piece) for number, piece in enumerate(pieces)]
    plan = Plan(pictures, order=[0, 2, 1, 3], times=None)

    def selected(index: int) -> list[tuple[bytes, int | None]]:
        return [(bytes(packet), packet.pts) for packet in plan.select(enumerate(packets), plan.needed([index]))]

    assert selected(0) == [(b"first", 0)]
    assert selected(1) == [(b"first", 0), (b"shown", 40), (b"late", 80)]
    assert selected(2) == [(b"first", 0), (b"shown", 40)]
    assert selected(3) == [(b"first", 0), (b"shown", 40), (b"unneeded", 120)]


@pytest.mark.parametrize("name", ["h264_many_restarts.mp4", "hevc_open_gop.mp4", "vp9.webm", "mpeg4.avi", "h264.ts"])
@pytest.mark.parametrize("kept", [True, False])
def test_one_scan_serves_many_reads(clip: Clip, name: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:
        monkeypatch.setattr("crossframe.video.plan.KEPT_BYTES", 1000)
    full = decode_fully(clip(name))
    scans: list[Media] = []
    monkeypatch.setattr(exact, "scan", lambda media: scans.append(media) or scan(media))
    rng = np.random.default_rng(0)
    with open_video(clip(name)) as video:
        assert (video.found.packets is not None) == kept
        for _ in range(12):
            indices = rng.integers(0, len(full), 3).tolist()
            decoded = video.read(Wanted("", 1, "sparse", indices))
            assert np.array_equal(decoded.pixels, np.stack([full[index] for index in indices]))
    assert len(scans) == 1


def test_a_window_of_a_long_file_is_read_from_where_it_lies(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossframe.video.plan.KEPT_BYTES", 1000)
    read: list[VideoPacket] = []
    packets = Media.packets
    with open_video(clip("h264_many_restarts.mp4")) as video:
        monkeypatch.setattr(Media, "packets", lambda media: (read.append(p) or p for p in packets(media)))
        video.read(Wanted("", 1, "sparse", [71, 74]))
    assert 0 < len(read) <= 10  # of 80: those of the last group


def test_reading_past_the_end_of_a_header_is_unproven() -> None:
    with pytest.raises(Unproven):
        Bits(bytes([1])).u(9)
    with pytest.raises(Unproven):
        Bits(bytes(8)).ue()


@pytest.mark.parametrize(
    "kind", [{}, av1(), vp9(deadline="realtime"), {"codec": "mpeg4"}], ids=["h264", "av1", "vp9", "mpeg4"]
)
def test_threads_change_no_frame_and_are_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, Any]
) -> None:
    monkeypatch.setattr("crossframe.video.media.cores", lambda: 4)
    monkeypatch.setattr(media, "BIG", 320 * 240)
    path = write_clip(tmp_path / "clip.mp4", **(kind | {"frames": moving(20, 320, 240)}))
    used: list[bool] = []
    use_threads = Media.use_threads
    monkeypatch.setattr(Media, "use_threads", lambda media, wanted: used.append(use_threads(media, wanted)))
    alone = exact.read_arrays(path)
    monkeypatch.setattr(media, "BIG", 1920 * 1080)
    monkeypatch.setattr(media, "_beside_others", False)  # put back afterwards
    media.read_beside_others()
    assert np.array_equal(exact.read_arrays(path).pixels, alone.pixels)
    assert used == [True, False]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("together", [True, False])
def test_fields_are_decoded_in_full(tmp_path: Path, suffix: str, together: bool) -> None:
    path = write_fields(tmp_path / f"fields.{suffix}", moving(24, 64, 64), together=together)
    assert len(packets_of(path)) == (12 if together else 24)
    assert scan_file(path).plan is None
    full = decode_fully(path)
    assert len(full) == 12
    assert full[0].shape == (128, 64, 3)
    for index in range(12):
        decoded = exact.read_arrays(path, indices=[index])
        assert decoded.total == 12
        assert np.array_equal(decoded.pixels[0], full[index])
