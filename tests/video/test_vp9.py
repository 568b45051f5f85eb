"""VP9's headers: where a stream begins anew, read from headers written bit by bit."""

from __future__ import annotations

import pytest

from crossframe.video.bits import Unproven
from crossframe.video.vp9 import VP9


def frame(key: bool = False, shown: bool = True, profile: int = 0, code: int = 0x498342) -> bytes:
    low, high = profile & 1, profile >> 1
    bits = f"10{low}{high}{'0' if profile == 3 else ''}0{int(not key)}{int(shown)}0{f'{code:024b}' if key else ''}"
    return int(bits.ljust(40, "1"), 2).to_bytes(5, "big")


AGAIN = bytes([0b1000_1_011])


def packet(*frames: bytes, width: int = 1) -> bytes:
    """Frames with an index of their sizes."""
    marker = bytes([0b110 << 5 | width - 1 << 3 | len(frames) - 1])
    return b"".join(frames) + marker + b"".join(len(frame).to_bytes(width, "little") for frame in frames) + marker


def restarts(*packets: bytes) -> list[bool]:
    headers = VP9(b"")
    pictures = [headers.picture(memoryview(data)) for data in packets]
    assert [picture.order_count for picture in pictures] == list(range(len(packets)))
    return [picture.restart for picture in pictures]


@pytest.mark.parametrize("profile", range(4))
def test_key_frames_begin_anew(profile: int) -> None:
    key, other = frame(True, profile=profile), frame(profile=profile)
    assert restarts(key, other, key, other, AGAIN) == [True, False, True, False, False]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_hidden_frames_come_with_the_frame_that_is_shown(width: int) -> None:
    hidden, key = frame(shown=False), frame(True)
    packets = [packet(key), packet(hidden, frame(), width=width), packet(hidden, hidden, AGAIN), packet(key, hidden)]
    assert restarts(*packets, packet(hidden, key)) == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too early"),
        (b"\x80", "too early"),
        (b"\x00" + frame()[1:], "no frame"),
        (frame(True, code=0x498343), "without its code"),
        (frame(shown=False), "exactly one"),
        (packet(frame(), frame()), "exactly one"),
        (packet(frame(), AGAIN), "exactly one"),
        (packet(frame(shown=False)), "exactly one"),
        (packet(frame())[2:], "cut off"),
        (packet(frame(), b""), "cut off"),
        (packet(frame())[-1:], "an index is cut off"),
        (frame() + packet(frame()), "belong to no frame"),
    ],
)
def test_what_is_not_plain_is_unproven(data: bytes, reason: str) -> None:
    with pytest.raises(Unproven, match=reason):
        restarts(frame(True), data)
