"""What reading leaves behind: memory, open files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossframe.video.decode import VideoError, read_video
from tests.video.clips import write_clip

Clip = Callable[[str], Path]

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def read_good_and_bad(clip: Clip, bad: Path) -> None:
    read_video(clip("h264.mp4"), 4)
    read_video(clip("mpeg4.avi"), 4)
    with pytest.raises(VideoError):
        read_video(bad)


@needs_proc
def test_every_file_is_closed(clip: Clip, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip("h264.mp4").read_bytes()[:400])
    read_good_and_bad(clip, bad)
    before = open_files()
    for _ in range(20):
        read_good_and_bad(clip, bad)
    assert open_files() == before


@pytest.mark.slow
@needs_proc
def test_memory_is_flat_over_ten_thousand_videos(clip: Clip, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip("h264.mp4").read_bytes()[:400])
    for _ in range(50):  # two videos each
        read_good_and_bad(clip, bad)
    memory, files = resident(), open_files()
    for _ in range(4950):
        read_good_and_bad(clip, bad)
    assert resident() - memory < 8 << 20
    assert open_files() == files


@pytest.mark.slow
@needs_proc
def test_big_frames_are_scaled_down_as_they_are_decoded(tmp_path: Path) -> None:
    picture = np.zeros((2160, 3840, 3), dtype=np.uint8)
    picture[::7] = 200
    path = write_clip(
        tmp_path / "big.mp4", frames=np.broadcast_to(picture, (40, *picture.shape)), options={"preset": "fast"}
    )
    program = (
        "import resource, sys\n"
        "from crossframe.video.decode import read_video\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before = peak()\n"
        "assert read_video(sys.argv[1], 32, short_side=256).pixels.shape == (32, 3, 256, 455)\n"
        "print(peak() - before)\n"
    )
    # A process of its own, since a peak never falls again.
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 300  # MB; at its own size, the clip would be 760
