"""Streams whose packets are damaged: what is read of them is what a full decode shows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossframe.video import exact
from tests.video.clips import decode_fully, moving, packets_of, rewrite, write_clip
from tests.video.kinds import av1, mpeg4, vp9
from tests.video.proof import assert_same, read_fully

FRAMES = 24
STREAMS: dict[str, dict[str, Any]] = {
    "av1.mp4": av1("keyint=12:film-grain=8", FRAMES),
    "av1_low_delay.mkv": av1("pred-struct=1", FRAMES),
    "vp9.webm": vp9(FRAMES, g="12", lag_in_frames="12"),
    "vp9_without_lag.mp4": vp9(FRAMES, g="8", lag_in_frames="0"),
}


def damaged(data: bytes, packet: bytes, rng: random.Random) -> bytes:
    """A file with some bytes of a packet changed, most often near its beginning."""
    changed = bytearray(data)
    begin = data.index(packet)
    start = rng.randrange(min(len(packet), 40) if rng.random() < 0.7 else len(packet))
    for place in range(start, min(start + rng.choice([1, 2, 8]), len(packet))):
        changed[begin + place] ^= rng.randrange(1, 256)
    return bytes(changed)


@pytest.mark.parametrize("name", STREAMS)
def test_damage_shows_as_in_a_full_decode_or_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clip = write_clip(tmp_path / name, **STREAMS[name])
    packets = packets_of(clip)
    seen: set[str] = set()
    for seed in range(40):
        rng = random.Random(seed)
        broken = damaged(clip.read_bytes(), rng.choice([packet for packet in packets if len(packet) > 20]), rng)
        wanted = sorted(rng.sample(range(len(packets)), rng.choice([1, 3])))

        def those(total: int, wanted: list[int] = wanted) -> list[int]:
            return [min(index, total - 1) for index in wanted]

        read, full = exact.read_arrays(broken, indices=those), read_fully(broken, those, monkeypatch)
        if read.total == full.total:
            assert_same(read, full)
            seen.add("the same" if full.total == len(packets) else "noticed")
        else:
            assert read.total == len(packets) > full.total
            everything = read_fully(broken, range, monkeypatch)
            at = dict(zip(everything.times.tolist(), everything.pixels, strict=True))
            for time, pixels in zip(read.times.tolist(), read.pixels, strict=True):
                assert time not in at or np.array_equal(pixels, at[time])
            seen.add("left out")
    assert seen == {"the same", "noticed", "left out"}


@pytest.mark.parametrize("clip", [{"codec": "libx264"}, {"codec": "mjpeg", "pix_fmt": "yuvj420p"}])
def test_a_packet_that_gives_no_frame_counts_as_one_that_is_missing(tmp_path: Path, clip: dict[str, str]) -> None:
    packets = packets_of(write_clip(tmp_path / "sound.mkv", frames=12, **clip))
    packets[5] = bytes(40)
    read = exact.read_arrays(rewrite(tmp_path / "sound.mkv", tmp_path / "hole.mkv", packets), indices=range)
    assert (read.total, read.missing) == (11, 1)


SPREADING: dict[str, dict[str, Any]] = {
    "h264.mkv": {"options": {"g": "20", "x264-params": "bframes=2:b-adapt=0:keyint=20:min-keyint=20"}},
    "h264.ts": {"options": {"g": "20", "x264-params": "bframes=2:b-adapt=0:keyint=20:min-keyint=20"}},
    "mpeg4.avi": mpeg4(bf="2", g="16"),
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "16"}},
}


@pytest.mark.parametrize("name", SPREADING)
def test_all_that_refers_to_damage_counts_as_damaged(tmp_path: Path, name: str) -> None:
    """From where the decoder tells of damage on, no frame that differs is without a flag until the next restart."""
    path = write_clip(tmp_path / name, **{"frames": moving(48, 96, 64), **SPREADING[name]})
    sound, data = decode_fully(path), path.read_bytes()
    packets = packets_of(path)
    told = 0
    for seed in range(25):
        rng = random.Random(seed)
        packet = packets[rng.randrange(len(packets))]
        begin = data.find(packet[-40:]) + 40 - len(packet)
        changed = bytearray(data)
        for place in range(begin + len(packet) // 3, begin + len(packet) // 3 + 4):
            changed[place] ^= rng.randrange(1, 256)
        read = exact.read_arrays(bytes(changed), indices=range)
        if read.total != len(sound) or not read.damaged.any():
            continue
        told += 1
        wrong = [i for i in range(read.total) if not np.array_equal(read.pixels[i], sound[i])]
        assert read.damaged[wrong].all(), (seed, wrong, np.flatnonzero(read.damaged))
        assert not read.damaged.all()
        few = exact.read_arrays(bytes(changed), indices=[0, 30])  # which may need no damaged picture
        assert (few.damaged | (few.pixels == np.stack(sound)[[0, 30]]).all(axis=(1, 2, 3))).all()
    assert told > 3


@pytest.mark.parametrize(
    ("damaged", "sound"),
    [
        ("h264_mkv.flip1063.mkv", "h264.mkv"),
        ("mpeg4_avi.zero096.avi", "mpeg4.avi"),
        ("hevc_mp4.flip1034.mp4", "hevc.mp4"),  # repaired in silence, unless the decoder is told to tell
    ],
)
def test_damage_from_the_field_is_told(shared: Path, damaged: str, sound: str) -> None:
    folder = shared / "field" / "hostile"
    read, full = (exact.read_arrays(folder / name, indices=range) for name in (damaged, sound))
    assert read.total == full.total
    differs = (read.pixels != full.pixels).reshape(read.total, -1).any(axis=1)
    assert differs.any()
    assert not (differs & ~read.damaged).any()
    assert not full.damaged.any()
