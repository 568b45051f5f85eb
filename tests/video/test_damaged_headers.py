"""Whatever stands in the headers of a stream, reading them gives pictures or says that they prove nothing."""

from __future__ import annotations

import random
from typing import Any

import av
import pytest

from crossframe.video.headers import Unproven
from crossframe.video.plan import HEADERS
from tests.video.clips import moving, write_clip
from tests.video.kinds import X264, X265, av1, mpeg4, vp9

ROUNDS = 1000
STREAMS: dict[str, dict[str, Any]] = {
    "h264": {"codec": "libx264", "options": {X264: "bframes=3:slices=2:aud=1"}},
    "hevc": {"codec": "libx265", "options": {X265: "log-level=none:temporal-layers=2:bframes=3:slices=2"}},
    "libdav1d": av1("film-grain=10"),
    "vp9": vp9(lag_in_frames="12"),
    "mpeg4": mpeg4(bf="2", g="5"),
}
HAVE_UNITS = ["h264", "hevc"]  # with a length before each


@pytest.fixture(scope="module", params=list(STREAMS))
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, list[bytes]]:
    """A codec, what stands before its stream, and the beginnings of the stream's packets."""
    path = tmp_path_factory.mktemp("stream") / f"{request.param}.mp4"
    write_clip(path, **(STREAMS[request.param] | {"frames": moving(12, 64, 64)}))
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata or b""
        return request.param, extradata, [bytes(packet) for packet in container.demux(video=0) if packet.size]


def proven(codec: str, extradata: bytes, packets: list[bytes]) -> int:
    """How many packets are read before something proves nothing; any other error passes through."""
    done = 0
    try:
        read = HEADERS[codec](extradata)
        for packet in packets:
            read(memoryview(packet))
            done += 1
    except Unproven:
        pass
    return done


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Some of its first bytes changed, left out or cut off."""
    changed, place = bytearray(data), rng.randrange(min(len(data), 64))
    match rng.randrange(4):
        case 0:
            changed[place] ^= 1 << rng.randrange(8)
        case 1:
            changed[place] = rng.randrange(256)
        case 2:
            del changed[place : place + rng.randint(1, 8)]
        case _:
            del changed[place:]
    return bytes(changed)


def units_of(sizes: list[int], rng: random.Random) -> bytes:
    """Units of these sizes, four bytes of length before each, with any content."""
    return b"".join(size.to_bytes(4, "big") + rng.randbytes(size) for size in sizes)


def test_damaged_streams_are_unproven_at_most(stream: tuple[str, bytes, list[bytes]]) -> None:
    codec, extradata, packets = stream
    assert proven(codec, extradata, packets) == len(packets)
    rng = random.Random(codec)
    read = 0
    for _ in range(ROUNDS):
        before = damaged(extradata, rng) if extradata and rng.random() < 0.5 else extradata
        read += proven(codec, before, [damaged(packet, rng) if rng.random() < 0.3 else packet for packet in packets])
    assert 0 < read < ROUNDS * len(packets)


def test_any_bytes_are_unproven_at_most(stream: tuple[str, bytes, list[bytes]]) -> None:
    codec, extradata, packets = stream
    rng = random.Random(codec)
    read = [proven(codec, extradata, [packets[0], rng.randbytes(rng.randint(1, 40))]) for _ in range(ROUNDS)]
    assert 1 in read


@pytest.mark.parametrize("stream", HAVE_UNITS, indirect=True)
def test_units_of_any_size_and_content_are_unproven_at_most(stream: tuple[str, bytes, list[bytes]]) -> None:
    codec, extradata, packets = stream
    rng = random.Random(codec)
    read = 0
    for _ in range(ROUNDS):
        sizes = [rng.randint(1, 6) for _ in range(rng.randint(1, 3))]
        read += proven(codec, extradata, [packets[0], units_of(sizes, rng)]) == 2
    assert read < ROUNDS // 10  # a few look like a slice; what is in it, the decoder must find


@pytest.mark.parametrize("stream", HAVE_UNITS, indirect=True)
def test_a_picture_of_a_single_byte_is_unproven(stream: tuple[str, bytes, list[bytes]]) -> None:
    codec, extradata, packets = stream
    for kind in range(256):
        assert proven(codec, extradata, [packets[0], bytes([0, 0, 0, 1, kind])]) == 1
