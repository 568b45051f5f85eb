"""Streams whose packets are damaged: what is read of them is what a full decode shows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossframe.video import exact
from tests.video.clips import packets_of, write_clip
from tests.video.kinds import av1, vp9
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
