"""Stand-ins for reading a video that misbehave in every way a decoder can; workers import them by name."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np

from crossframe.video.exact import Decoded
from crossframe.video.given import VideoError


def misbehave(source: str, num_frames: int) -> Decoded:
    """Do what `source` says; return frames that hold this process's number in their times."""
    if source == "hang":
        threading.Event().wait()
    if source == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if source == "surprise":
        raise RuntimeError("a mistake of ours")
    if source == "memory":
        np.ones(1 << 30, dtype=np.uint8)
    if source == "bad":
        raise VideoError("bad: is no video")
    if source == "talk":
        print("libraries print things")
    return Decoded(
        pixels=np.zeros((num_frames, 4, 4, 3), dtype=np.uint8),
        indices=np.arange(num_frames),
        times=np.full(num_frames, float(os.getpid())),
        total=num_frames,
        damaged=np.zeros(num_frames, dtype=np.bool_),
        missing=0,
        source=source,
    )
