"""MPEG-4 as it is found in the field: packed bitstreams, encoders' names, pictures that a decoder passes over."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from crossframe.video import exact
from crossframe.video.headers import Piece, Unproven
from crossframe.video.media import open_media
from crossframe.video.mpeg4 import MPEG4
from crossframe.video.plan import Plan, scan
from crossframe.video.sample import sparse
from tests.video.clips import decode_fully, packets_of, write_clip
from tests.video.kinds import mpeg4
from tests.video.proof import assert_same, is_proven, read_fully

Clip = Callable[[str], Path]

START, NAME, GROUP, PLANE = b"\0\0\1", b"\0\0\1\xb2", b"\0\0\1\xb3", b"\0\0\1\xb6"
XVID = [b"DivX503b1393p", b"XviD0055"]
FILLER = PLANE + bytes([0b01_0_1_0000, 0b0_1_0_01111])  # a P-picture that is not coded; its time has five bits
B = 2


def kind(packet: bytes) -> int:
    return packet[packet.index(PLANE) + 4] >> 6


def named(packets: list[bytes], names: list[bytes]) -> list[bytes]:
    """The packets as if encoders with other names had made them."""
    parameters = packets[0][: packets[0].index(GROUP)]
    others = parameters[: parameters.index(NAME)] + b"".join(NAME + name for name in names)
    return [packet.replace(parameters, others) for packet in packets]


def without_groups(packets: list[bytes]) -> list[bytes]:
    return [packet.replace(packet[packet.find(GROUP) :][:7], b"") if GROUP in packet else packet for packet in packets]


def packed(packets: list[bytes]) -> Iterator[bytes]:
    """B-pictures behind their reference, one packet earlier than it is their turn."""
    for packet, following in pairwise([*packets, FILLER]):
        if kind(packet) != B:
            yield packet + following if kind(following) == B else packet
        else:
            yield following if kind(following) == B else FILLER


def write_packets(path: Path, packets: list[bytes]) -> Path:
    """An .avi of these packets."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        container.start_encoding()
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.dts, packet.pts, packet.time_base = stream, number, number, Fraction(1, 25)
            container.mux(packet)
    return path


def ends(total: int) -> list[int]:
    return [0, total - 1]


@pytest.fixture(params=["groups", "no groups", "many keys", "four in a row"])
def b_pictures(request: pytest.FixtureRequest, tmp_path: Path) -> list[bytes]:
    options = {
        "many keys": {"bf": "2", "g": "4"},
        "four in a row": {"bf": "4", "g": "300", "b_strategy": "0", "sc_threshold": "1000000000"},
    }
    clip = write_clip(tmp_path / "b.avi", **mpeg4(31, **options.get(request.param, {"bf": "2"})))
    packets = named(packets_of(clip), XVID)
    assert B in map(kind, packets)
    return without_groups(packets) if request.param == "no groups" else packets


def test_packed_pictures_are_found(b_pictures: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_packets(tmp_path / "packed.avi", list(packed(b_pictures)))
    assert is_proven(path)
    full = decode_fully(path)
    assert len(full) == len(b_pictures)
    assert_same(exact.read_arrays(path, 8), read_fully(path, exact.read_arrays(path, 8).indices.tolist(), monkeypatch))
    rng = random.Random(0)
    for indices in [[index] for index in range(31)] + [sorted(rng.sample(range(31), 4)) for _ in range(20)]:
        read = exact.read_arrays(path, indices=indices)
        assert np.array_equal(read.pixels, np.stack([full[index] for index in indices]))
        assert read.total == len(full)


def test_a_last_picture_that_is_stored_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = named(packets_of(write_clip(tmp_path / "b.avi", **mpeg4(30, bf="2"))), XVID)
    together = list(packed(packets))
    last = max(number for number, packet in enumerate(together) if packet.count(PLANE) == 2)
    path = write_packets(tmp_path / "packed.avi", together[: last + 1])
    assert is_proven(path)
    assert len(decode_fully(path)) == last + 1
    full = read_fully(path, [last - 2, last], monkeypatch)
    assert_same(exact.read_arrays(path, indices=[last - 2, last]), full)
    monkeypatch.setattr("crossframe.video.plan.KEPT_BYTES", 1000)  # so the file is read again
    assert_same(exact.read_arrays(path, indices=[last - 2, last]), full)


def test_only_references_and_wanted_pictures_are_decoded(shared: Path) -> None:
    with open_media(shared / "videos" / "no_packet_pts_mpeg4.avi", "") as media:
        plan = scan(media).plan
    assert plan is not None
    assert plan.times is None
    assert len(plan.needed([163])) == 56  # of 164: all references
    assert len(plan.needed(sparse(164, 8))) == 57


@pytest.mark.parametrize("name", ["mpeg4.avi", "mpeg4_b.avi", "mpeg4_uneven.avi", "mpeg4_uneven.mp4", "mpeg4_late.mkv"])
def test_times_are_those_of_a_full_decode(clip: Clip, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for indices in ([0], [3, 17, 29], [29], list(range(30))):
        assert_same(exact.read_arrays(clip(name), indices=indices), read_fully(clip(name), indices, monkeypatch))


@pytest.mark.parametrize(
    ("names", "proven"),
    [
        (XVID, True),
        ([b"XviD0046"], True),
        ([b"XviD0033", b"DivX503Build1393"], True),
        ([b"Lavc52.20.1"], True),
        ([b"Lavc55.65.100"], True),
        ([b"Lavc57.67.100"], True),
        ([b"XviD0032"], False),
        ([b"XviD0055", b"XviD0003"], False),
        ([b"DivX503b1393p"], False),
        ([b"DivX503b1393p", b"Lavc58.54.100"], False),
        ([b"Lavc55.66.100"], False),
        ([b"Lavc57.64.101"], False),
        ([b"Lavc0.4.6"], False),
        ([b"FFmpeg0.4.6b4600"], False),
        ([b"XviD0055", b"anything"], False),
        ([], False),
    ],
)
def test_encoders_must_be_known(clip: Clip, tmp_path: Path, names: list[bytes], proven: bool) -> None:
    path = write_packets(tmp_path / "named.avi", named(packets_of(clip("mpeg4.avi")), names))
    assert is_proven(path) == proven
    full = decode_fully(path)
    for index in (0, 13, 39):
        assert np.array_equal(exact.read_arrays(path, indices=[index]).pixels[0], full[index])


def odd(packets: list[bytes], other: list[bytes]) -> dict[str, list[bytes]]:
    """Streams that are not plain."""
    first_b = next(number for number, packet in enumerate(packets) if kind(packet) == B)
    key = next(number for number, packet in enumerate(packets) if number and kind(packet) == 0)
    parameters = packets[0][: packets[0].index(GROUP)]
    bare = [packet.removeprefix(parameters) for packet in packets]
    return {
        "a picture that is not coded": [*packets[:5], FILLER, *packets[5:]],
        "nothing but one": [*packets, FILLER],
        "two pictures in a packet": [*packets[:-2], packets[-2] + packets[-1]],
        "a B-picture before two references": [packets[0], packets[first_b], *packets[1:]],
        "a B-picture out of turn": [*packets[: key + 1], packets[first_b], *packets[key + 1 :]],
        "a beginning in the middle": [parameters + bare[1], *packets[2:]],
        "groups now and then": [packets[0], *without_groups(packets[1:])],
        "a group before a P-picture": [packets[0], packets[0][len(parameters) :][:7] + packets[1], *packets[2:]],
        "other parameters": [*packets, *other],
        "other bytes in front": [packets[0], b"\0" + packets[1], *packets[2:]],
        "a marker of the end": [*packets[:-1], packets[-1] + START + b"\xb1"],
        "no start code": [*packets[:5], packets[5][4:], *packets[6:]],
    }


@pytest.mark.parametrize("name", odd([b"\0\0\1\xb3\0\0\1\xb6\xa0", b"\0\0\1\xb6\0"] * 4, []))
def test_what_is_not_plain_is_decoded_in_full(
    clip: Clip, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = packets_of(clip("mpeg4_b.avi"))
    path = write_packets(tmp_path / "odd.avi", odd(packets, packets_of(clip("mpeg4_no_motion.avi")))[name])
    assert not is_proven(path)
    assert_same(exact.read_arrays(path, indices=ends), read_fully(path, ends, monkeypatch))


def test_what_follows_a_stored_picture_must_be_plain(clip: Clip) -> None:
    packets = named(packets_of(clip("mpeg4_b.avi")), XVID)
    parameters = packets[0][: packets[0].index(GROUP)]
    stored = list(packed(packets))
    late = next(number for number, packet in enumerate(stored) if packet.count(PLANE) == 2) + 1

    def after(packet: bytes) -> MPEG4:
        headers = MPEG4(parameters)
        for before in stored[:late]:
            headers.picture(memoryview(before))
        headers.picture(memoryview(packet))
        return headers

    piece = after(FILLER).picture(memoryview(packets[late + 2])).piece
    assert piece is None
    whole = after(stored[late]).picture(memoryview(FILLER)).piece
    assert whole == Piece(late=True, start=0, stop=len(stored[late]))
    coded, tiny = packets[1], stored[late][:7]
    for packet in (coded, tiny, FILLER + FILLER, parameters + FILLER, packets[0]):
        with pytest.raises(Unproven):
            after(packet)


def test_damage_is_found_in_few_pictures_as_in_all(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = packets_of(clip("mpeg4_no_motion.avi"))
    for seed in range(3, 15):  # a decoder that guesses overlooks two of these where it gets one picture alone
        rng = random.Random(seed)
        broken = bytearray(sound[20])
        broken[rng.randrange(len(broken) * 2 // 3, len(broken))] ^= 1 << rng.randrange(8)
        path = write_packets(tmp_path / f"{seed}.avi", [*sound[:20], bytes(broken), *sound[21:]])
        assert is_proven(path)
        assert_same(exact.read_arrays(path, indices=[20]), read_fully(path, [20], monkeypatch))


def aligned(bits: str) -> bytes:
    """Bits, and a 0 and 1s up to the end of the byte."""
    bits += "0"
    return int(bits + "1" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")


PLAIN = {
    "random access, profile": "0" + f"{1:08b}",
    "version": "0",
    "proportions": "0001",
    "control": "1" + "01" + "0" + "0",
    "shape": "00",
    "resolution": "1" + f"{25:016b}" + "1",
    "fixed rate": "0",
    "size": "1" + f"{64:013b}" + "1" + f"{48:013b}" + "1",
    "interlaced": "0",
    "no overlapping": "1",
    "sprites": "0",
    "bits": "0",
    "matrices": "0",
    "quarter pixels": "",
    "no complexity": "1",
    "no resynchronisation": "1",
    "partitions": "0",
    "chosen references": "",
    "qualities": "0",
}


def parameters_with(changed: dict[str, str], name: bytes = b"XviD0055") -> bytes:
    assert set(changed) <= set(PLAIN)
    return START + b"\x20" + aligned("".join((PLAIN | changed).values())) + NAME + name


def plane(kind: int, ticks: int, seconds: int = 0, quantiser: int = 9, ranges: int = 3, marker: int = 1) -> bytes:
    rounding = "0" if kind == 1 else ""
    head = f"{kind:02b}{'1' * seconds}0{marker}{ticks:05b}11{rounding}000{quantiser:05b}" + f"{ranges:03b}" * kind
    return PLANE + aligned(head + "1" * 12)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"random access, profile": "1" + f"{17:08b}"},
        {"version": "1" + "0010" + "001", "sprites": "00", "quarter pixels": "1", "chosen references": "00"},
        {"proportions": "1111" + "0" * 16},
        {"control": "1" + "01" + "0" + "1" + "0" * 79},
        {"fixed rate": "1" + "00001"},
        {"matrices": "1" + "1" + "00001000" * 64 + "1" + "00001000" + "00000000"},
        {"matrices": "100"},
        {"no resynchronisation": "0"},
    ],
)
def test_parameters_that_are_plain(changed: dict[str, str]) -> None:
    headers = MPEG4(parameters_with(changed))
    stream = [plane(0, 0), plane(1, 3), plane(B, 1), plane(B, 2), plane(0, 0, 1), plane(B, 24), plane(1, 1)]
    pictures = [headers.picture(memoryview(packet)) for packet in stream]
    assert [picture.restart for picture in pictures] == [True, False, False, False, True, False, False]
    assert [picture.spare for picture in pictures] == [False, False, True, True, False, True, False]
    assert [picture.late for picture in pictures] == [True, True, False, False, True, False, True]
    plan = Plan(pictures, order=[0, 2, 3, 1, 5, 4, 6], times=None)
    assert plan.needed([6]) == [4, 6]  # the picture between, which needs the one before the restart, is left out
    assert plan.needed([4]) == [0, 1, 4, 5]


@pytest.mark.parametrize(
    "changed",
    [
        {"random access, profile": "0" + f"{14:08b}"},
        {"shape": "01"},
        {"resolution": "1" + "0" * 16 + "1"},
        {"resolution": "1" + f"{25:016b}" + "0"},
        {"size": "1" + f"{64:013b}" + "0" + f"{48:013b}" + "1"},
        {"interlaced": "1"},
        {"no overlapping": "0"},
        {"sprites": "1"},
        {"version": "1" + "0010" + "001", "sprites": "10", "quarter pixels": "1", "chosen references": "00"},
        {"version": "1" + "0010" + "001", "sprites": "00", "quarter pixels": "1", "chosen references": "10"},
        {"version": "1" + "0010" + "001", "sprites": "00", "quarter pixels": "1", "chosen references": "01"},
        {"bits": "1" + "0101" + "1000"},
        {"no complexity": "0"},
        {"partitions": "1"},
        {"qualities": "1"},
    ],
)
def test_parameters_that_are_not_plain(changed: dict[str, str]) -> None:
    with pytest.raises(Unproven):
        MPEG4(parameters_with(changed))


@pytest.mark.parametrize("control", ["0", "1" + "01" + "1" + "0"])
def test_b_pictures_must_be_announced(control: str) -> None:
    headers = MPEG4(parameters_with({"control": control}))
    for packet in (plane(0, 0), plane(1, 2)):
        headers.picture(memoryview(packet))
    with pytest.raises(Unproven, match="not announced"):
        headers.picture(memoryview(plane(B, 1)))


@pytest.mark.parametrize(
    "packet",
    [
        plane(1, 4, quantiser=0),
        plane(1, 4, ranges=0),
        plane(1, 4, marker=0),
        plane(1, 4)[:7],
        plane(3, 4),
        plane(B, 0),
        plane(B, 3),
        plane(B, 1, ranges=0),
        plane(1, 4, seconds=200),
    ],
)
def test_pictures_that_are_not_plain(packet: bytes) -> None:
    headers = MPEG4(parameters_with({}))
    for before in (plane(0, 0), plane(1, 3)):
        headers.picture(memoryview(before))
    with pytest.raises(Unproven):
        headers.picture(memoryview(packet))


def test_a_picture_must_have_some_bits_for_its_size() -> None:
    headers = MPEG4(parameters_with({"size": "1" + f"{640:013b}" + "1" + f"{480:013b}" + "1"}))
    headers.picture(memoryview(plane(0, 0) + b"\x55" * 75))
    with pytest.raises(Unproven, match="cut off"):
        headers.picture(memoryview(plane(1, 1) + b"\x55" * 70))
