"""Writes small real clips for tests, in any codec and container that PyAV's encoders offer."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # (N, H, W, 3)

# Matrices in .mp4 hold numbers of 16 bits before and 16 bits after the point.
ONE = 1 << 16


def moving(num_frames: int, width: int = 64, height: int = 48) -> Pictures:
    """A textured picture that slides to the left under a square that moves down, different in every frame."""
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (height, width + 2 * num_frames, 3), dtype=np.uint8)
    texture[:, ::2] //= 2
    pictures = np.stack([texture[:, 2 * t : 2 * t + width] for t in range(num_frames)])
    for t, picture in enumerate(pictures):
        top = (3 * t) % height
        picture[top : top + 8, 4:12] = (255, 40, 40)
        picture[0:6, 0:6] = (0, 0, 255)
    return pictures


def write_clip(
    path: Path,
    *,
    frames: Pictures | int = 30,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    rotation: int = 0,
) -> Path:
    """Write a clip; the suffix of `path` chooses the container.

    `frames` are the pictures, or how many of `moving` to make. `options` are the encoder's, `muxing` the container's.
    `times` are presentation times in units of `1 / rate` seconds, for clips that start late or have a variable frame
    rate. `rotation` turns the display counterclockwise by that many degrees (.mp4 only).
    """
    pictures = moving(frames) if isinstance(frames, int) else frames
    with av.open(str(path), "w", options=dict(muxing or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if codec == "libsvtav1" and sys.platform == "linux":  # which takes the highest priority of all for this thread
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if rotation:
        _turn(path, rotation)
    return path


def decode_fully(path: Path) -> list[Pictures]:
    """Every frame by the plainest loop there is: the yardstick for everything faster."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def rewrite(source: Path, path: Path, packets: Sequence[bytes]) -> Path:
    """These packets in another file, each at the time of the one of its number."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for data, before in zip(packets, old.demux(video=0), strict=False):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, before.time_base, before.is_keyframe
            packet.pts, packet.dts = before.pts, before.dts
            new.mux(packet)
    return path


def cut_start(source: Path, path: Path, cut: int) -> Path:
    """Hide the first `cut` frames as editing programs do: by times before 0, without coding anything anew."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        shift = cut * packets[0].duration
        for packet in packets:
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = stream
            new.mux(packet)
    return path


def with_sound(source: Path, path: Path, late: float, begin: float = 0.0) -> Path:
    """The same video with `late` seconds of silence before it, and more beside it; `begin` is when the sound begins."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        sound = new.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000)
        packets = [packet for packet in old.demux(video=0) if packet.size]
        length = late + float(max(packet.pts for packet in packets) * packets[0].time_base)
        for number in range(int(48000 * length) // 960):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), dtype=np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(48000 * begin) + 960 * number
            new.mux(sound.encode(frame))
        new.mux(sound.encode(None))
        for packet in packets:
            shift = round((late + begin) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = video
            new.mux(packet)
    return path


def _turn(path: Path, degrees: int) -> None:
    """Write a rotation into the track header of an .mp4."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    start = (
        header + 4 + 40 + (12 if data[header + 4] == 1 else 0)
    )  # after version, flags and the fields before the matrix
    cos, sin = round(math.cos(math.radians(degrees))) * ONE, round(math.sin(math.radians(degrees))) * ONE
    matrix = (cos, -sin, 0, sin, cos, 0, 0, 0, 1 << 30)
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
