"""Damaged videos and files that are none: no crash, no hang, no wrong picture without a word where FFmpeg has one."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from benchmarks.torture.report import Options, Row
from crossframe.video.decode import Frames, decode_many
from crossframe.video.given import VideoError
from tests.video.clips import decode_fully, moving, write_clip

CODECS: dict[str, dict[str, Any]] = {
    "h264": {"options": {"g": "12", "bf": "2"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12"}},
    "mpeg4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "vp9": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "g": "12"}},
    "av1": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "lp=1:keyint=12"}},
}
CONTAINERS = ("mp4", "mkv", "avi", "ts")
TIMEOUT = 20.0  # seconds for a clip of a second, on a busy machine
WORSE = ("stopped the decoder", "stopped the reader", "was not read within")


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 4])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def truncate(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def zero(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    stop = min(start + chance.choice([1, 16, 256, 4096]), len(data))
    data[start:stop] = bytes(stop - start)


def head(data: bytearray, chance: random.Random) -> None:
    """Headers stand in the beginning, and .mp4 has them in the end too."""
    start = 0 if chance.random() < 0.5 else max(len(data) - 1500, 0)
    for _ in range(chance.choice([1, 2, 8])):
        data[min(start + chance.randrange(1500), len(data) - 1)] = chance.randrange(256)


DAMAGE: dict[str, Callable[[bytearray, random.Random], None]] = {
    "flips": flip,
    "truncations": truncate,
    "zeros": zero,
    "headers": head,
}


def mutants(options: Options) -> list[Row]:
    """Every codec in every container that takes it, damaged in every way."""
    each = options.few(12, 1)
    rows = {name: Row(f"videos: {name}") for name in DAMAGE}
    told = 0
    for sound, name in streams(options):
        data, frames = sound.read_bytes(), decode_fully(sound)
        paths: list[tuple[str, Path]] = []
        for kind, damage in DAMAGE.items():
            for number in range(each):
                changed = bytearray(data)
                damage(changed, random.Random(f"{options.seed}/{name}/{kind}/{number}"))
                path = options.folder / f"{kind}-{number}-{name}"
                path.write_bytes(changed)
                paths.append((kind, path))
        results = decode_many((path for _, path in paths), 16, workers=2, timeout=TIMEOUT)
        for (kind, path), result in zip(paths, results, strict=True):
            wrong = _wrong(path, result, frames)
            told += isinstance(result, VideoError) or bool(result.damaged.any() or result.missing)
            rows[kind].check(wrong is None, f"{path.name}: {wrong}")
            path.unlink()
    rows["flips"].note = f"{told} of all are told to be damaged"
    return list(rows.values())


def streams(options: Options) -> Iterator[tuple[Path, str]]:
    """A sound clip of every codec in every container that takes it, and its name."""
    wanted = [(codec, container) for codec in CODECS for container in CONTAINERS]
    for codec, container in wanted[:: options.few(1, 7)]:
        path = options.folder / f"{codec}.{container}"
        try:
            write_clip(path, **{"frames": moving(24, 96, 64), **CODECS[codec]})
            frames = decode_fully(path)
        except (av.error.FFmpegError, ValueError, IndexError):  # no such stream in this container
            continue
        if frames:
            yield path, path.name


def _wrong(path: Path, result: Frames | VideoError, sound: list[NDArray[np.uint8]]) -> str | None:
    """How reading went wrong that should have ended in frames or in one line; None where it did not.

    A picture that differs before FFmpeg tells of any damage is no fault: nobody can know.
    """
    if isinstance(result, VideoError):
        if any(word in str(result) for word in WORSE):
            return str(result)
        return "its error has several lines" if "\n" in str(result) else None
    if result.damaged.all() or result.missing or result.pixels.shape[2:] != sound[0].shape[:2]:
        return None  # told, or another picture altogether
    known = {picture.tobytes() for picture in sound}
    pixels = result.pixels.permute(0, 2, 3, 1).numpy()
    silent = [i for i, bad in enumerate(result.damaged.tolist()) if not bad and pixels[i].tobytes() not in known]
    told = _ffmpeg_tells(path) if silent else set[int]()
    wrong = [i for i in silent if int(result.indices[i]) in told]
    if wrong:
        return f"{len(wrong)} of {len(pixels)} frames differ and are not said to be damaged, though FFmpeg says so"
    return None


def _ffmpeg_tells(path: Path) -> set[int]:
    """The frames that a plain decoder, without threads, marks as damaged or shows after damage and before a restart.

    No picture of MPEG-4 refers to a B-picture: one that is damaged spoils no other, and who needs no B-pictures
    need not decode it.
    """
    told: set[int] = set()
    number, spoilt = 0, False
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                spoilt, frames = True, []
            for frame in frames:
                alone = frame.pict_type == PictureType.B and stream.codec_context.name == "mpeg4"
                told |= {number} if frame.is_corrupt or (spoilt and not frame.key_frame) else set()
                spoilt = (frame.is_corrupt and not alone) or (spoilt and not frame.key_frame)
                number += 1
    return told


def special_files(options: Options) -> list[Row]:
    """Paths that are no regular file, or one of an odd kind: one line each, at once."""
    row = Row("special files")
    folder, secret = options.folder, options.folder / "secret.mp4"
    write_clip(secret, frames=moving(6, 48, 32))
    os.mkfifo(folder / "pipe.mp4")
    (folder / "folder.mp4").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    with (folder / "sparse.ts").open("wb") as file:
        file.truncate(8 << 30)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket.mp4"))
    texts = {
        "concat.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
        "list.m3u8": f"#EXTM3U\n#EXTINF:1,\n{secret}\n",
        "list.mp4": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nfile://{secret}\n",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "nothing.mp4": "",
        "html.mp4": "<!doctype html>",
        "pattern-%03d.png": "x",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "noise.mp4").write_bytes(random.Random(options.seed).randbytes(100_000))
    odd = [path for path in sorted(folder.iterdir()) if path != secret]
    odd += [Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem"), Path("a\0b.mp4"), Path("x" * 5000), Path("")]
    for path, result in zip(odd, decode_many(odd, 4, workers=2, timeout=TIMEOUT), strict=True):
        fine = isinstance(result, VideoError) and "\n" not in str(result) and not any(w in str(result) for w in WORSE)
        row.check(fine, f"{str(path)[-40:]!r}: {result}")
    return [row]
