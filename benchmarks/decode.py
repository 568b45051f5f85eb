"""Eight frames from each of a mixed set of clips: here, and with decord, OpenCV and straightforward PyAV.

    pip install opencv-python-headless decord
    python -m benchmarks.decode

All read the same frame numbers. Ours must be bit for bit those of a full decode. A peer that fails on a clip or is not
installed does not take part there. Then a folder of clips goes through the loader's processes: what they do besides
FFmpeg's work is compared by the processors' time, which other work on the machine does not stretch.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks import loader
from benchmarks.harness import Bar, Options, Result, geometric_mean, in_turn, run
from crossframe.video.exact import read_arrays
from tests.video.clips import decode_fully, moving, write_clip

FRAMES = 8
SHORT_SIDE = 256  # what the loaders ask for: larger frames are scaled down as they are decoded
Read = Callable[[Path, list[int]], NDArray[np.uint8]]


def measure(options: Options) -> Result:
    peers: dict[str, Read] = {"PyAV": _pyav}
    peers |= {"OpenCV": _opencv} if find_spec("cv2") else {}
    peers |= {"decord": _decord} if find_spec("decord") else {}
    with TemporaryDirectory() as folder:
        paths = _mixed_set(options, Path(folder))
        rows, gains, thrift, avi, exact = [], [], [], [], True
        for path in paths:
            everything = decode_fully(path)
            ours = read_arrays(path, FRAMES)
            indices = ours.indices.tolist()
            exact &= np.array_equal(ours.pixels, np.stack([everything[i] for i in indices]))
            able = {name: read for name, read in peers.items() if _works(read, path, indices, everything[0].shape)}
            ways: dict[str, Callable[[], object]] = {
                name: lambda read=read, path=path, indices=indices: read(path, indices) for name, read in able.items()
            }
            seconds = in_turn(ways | {"crossframe": lambda path=path: read_arrays(path, FRAMES)}, options.repeats)
            best = min(able, key=lambda name: seconds[name].wall)
            gain = seconds[best].wall / seconds["crossframe"].wall
            if path.suffix == ".avi":
                avi.append(seconds["PyAV"].cpu / seconds["crossframe"].cpu)
            else:
                gains.append(gain)
            thrift.append(min(seconds[name].cpu for name in able) / seconds["crossframe"].cpu)
            row = {"clip": path.name, "frames": len(everything), "best peer": best, "gain": gain}
            row["gain in processor time"] = thrift[-1]
            rows.append(row | {f"{name} ms": s.wall * 1e3 for name, s in seconds.items()})
        rows.append({"all": "geometric mean", "gain in processor time": geometric_mean(thrift)})
        shares = loader.shares(paths, FRAMES, 1 if options.tiny else 4, short_side=SHORT_SIDE)
        rows += [{"of the loader's time": name, "share": share} for name, share in shares.items()]
    return Result(
        [
            Bar("best peer / crossframe, geometric mean without .avi", geometric_mean(gains), 1.35),
            *(
                [Bar("PyAV / crossframe in processor time, geometric mean of .avi", geometric_mean(avi), 1.4)]
                if avi
                else []
            ),
            Bar("bit-identical to a full decode", float(exact), 1.0),
            Bar("share of the loader's processor time outside FFmpeg", 1 - shares[loader.FFMPEG], 0.1, at_most=True),
        ],
        rows,
        [f"{name} is not installed" for name in ("cv2", "decord") if not find_spec(name)],
    )


def _mixed_set(options: Options, folder: Path) -> list[Path]:
    """Real clips where there are any, and generated ones in the codecs that data sets use."""
    real = sorted(path for path in options.videos.glob("*.*") if path.suffix in (".mp4", ".mkv", ".avi"))
    if options.tiny:
        return [write_clip(folder / "h264.mp4", frames=moving(12, 96, 64))]
    generated = [
        write_clip(folder / "kinetics_like.mp4", frames=moving(250, 340, 256), options={"preset": "medium"}),
        write_clip(folder / "short_side_480.mp4", frames=moving(150, 854, 480), options={"preset": "medium"}),
        write_clip(
            folder / "hevc.mp4", frames=moving(150, 340, 256), codec="libx265", options={"x265-params": "log-level=0"}
        ),
        write_clip(folder / "ucf_like.avi", frames=moving(180, 320, 240), codec="mpeg4"),
        write_clip(
            folder / "b_frames.avi", frames=moving(180, 320, 240), codec="mpeg4", options={"bf": "2", "g": "250"}
        ),
        write_clip(folder / "vp9.webm", frames=moving(120, 340, 256), codec="libvpx-vp9", options={"cpu-used": "8"}),
    ]
    return real + generated


def _works(read: Read, path: Path, indices: list[int], shape: tuple[int, ...]) -> bool:
    try:
        with _quiet():
            return read(path, indices).shape == (len(indices), *shape)
    except Exception:  # a peer may fail in any way it likes
        return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """FFmpeg inside a peer complains on the process's own standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _pyav(path: Path, indices: list[int]) -> NDArray[np.uint8]:
    wanted = set(indices)
    found: dict[int, NDArray[np.uint8]] = {}
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
            if number >= indices[-1]:
                break
    return np.stack([found[index] for index in indices])


def _opencv(path: Path, indices: list[int]) -> NDArray[np.uint8]:
    import cv2

    wanted = set(indices)
    found: dict[int, NDArray[np.uint8]] = {}
    video = cv2.VideoCapture(str(path))
    for number in range(indices[-1] + 1):
        if not video.grab():
            raise ValueError(f"{path}: ends at frame {number}")
        if number in wanted:
            found[number] = cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)
    video.release()
    return np.stack([found[index] for index in indices])


def _decord(path: Path, indices: list[int]) -> NDArray[np.uint8]:
    import decord

    return decord.VideoReader(str(path)).get_batch(indices).asnumpy()


if __name__ == "__main__":
    run("decode", measure)
