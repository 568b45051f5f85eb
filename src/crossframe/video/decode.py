"""Reading videos: a path, bytes or an array becomes T frames, as tensors with checked shapes; and many, read ahead."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossframe.model.config import FrameRule
from crossframe.video.exact import Decoded, File, read_arrays
from crossframe.video.guard import Limits, VideoError
from crossframe.video.isolate import Read, Readers, Worker
from crossframe.video.media import limits_here
from crossframe.video.sample import Choice, Wanted, source_name

log = logging.getLogger(__name__)

FILE = (str, os.PathLike, bytes, bytearray, memoryview)  # `exact.File`

Pictures: TypeAlias = NDArray[np.uint8] | Tensor
Source: TypeAlias = File | Pictures | list[Any] | tuple[Any, ...]  # of pictures: arrays, or images of Pillow


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The T frames of a video that were read, as in `Frames`, without their pixels."""

    indices: Tensor
    times: Tensor
    total: int
    damaged: Tensor
    missing: int
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """T frames of one video and where in it they come from.

    `pixels` uint8 (T, 3, H, W), red green blue; those of a file lie in memory as they came, the colors of a pixel side
    by side (channels last).
    `indices` int64 (T,), positions among the frames of the video in the order of showing, from 0.
    `times` float64 (T,), seconds on the file's own clock, which need not start at 0; NaN where nobody knows.
    `total`, how many frames the video has, counted.
    `damaged` bool (T,), True where the decoder had to repair the picture.
    `missing`, about how many frames the file promises beyond `total`: it was cut off, or they cannot be decoded.
    `source`, the file's name, or "<bytes>" or "<array>".
    `notes`, what else was noticed, a line each: several video streams, uneven times.
    """

    pixels: Tensor
    indices: Tensor
    times: Tensor
    total: int
    damaged: Tensor
    missing: int
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
            raise ValueError(f"pixels are {pixels.dtype} {tuple(pixels.shape)}; they must be uint8 (T, 3, H, W)")
        for name, row, dtype in (
            ("indices", self.indices, torch.int64),
            ("times", self.times, torch.float64),
            ("damaged", self.damaged, torch.bool),
        ):
            if row.dtype != dtype or row.shape != pixels.shape[:1]:
                raise ValueError(f"{name} is {row.dtype} {tuple(row.shape)}; it must be {dtype} ({pixels.shape[0]},)")
        if self.indices.min() < 0 or self.indices.max() >= self.total:
            raise ValueError(f"indices {self.indices.tolist()} lie outside the {self.total} frames of the video")

    @classmethod
    def from_arrays(cls, decoded: Decoded) -> Self:
        """The same memory, as tensors."""
        return cls(
            pixels=torch.from_numpy(decoded.pixels).permute(0, 3, 1, 2),
            indices=torch.from_numpy(decoded.indices),
            times=torch.from_numpy(decoded.times),
            total=decoded.total,
            damaged=torch.from_numpy(decoded.damaged),
            missing=decoded.missing,
            source=decoded.source,
            notes=decoded.notes,
        )

    def seen(self) -> Seen:
        """The same without pixels, whose memory it does not hold."""
        times, damaged = self.times.clone(), self.damaged.clone()
        return Seen(self.indices.clone(), times, self.total, damaged, self.missing, self.source, self.notes)

    def __len__(self) -> int:
        return self.pixels.shape[0]


def read_video(
    source: Source,
    num_frames: int = 8,
    *,
    sampling: FrameRule = "sparse",
    indices: Sequence[int] | Choice | None = None,
    short_side: int | None = None,
    square_pixels: bool = False,
    stream: int | None = None,
) -> Frames:
    """Read `num_frames` frames of a video.

    `source` is a path, the bytes of a file, or decoded frames, uint8 (N, 3, H, W) or (N, H, W, 3) or a list of such
    pictures or of images of Pillow, from which only frames are chosen.

    Frames come as the file holds them: bit for bit those of a full decode to RGB, with the pixels as coded,
    turned upright where the file says how. `square_pixels` stretches them to the proportions of the screen;
    `short_side` scales down, while they are decoded, frames that are larger. Frames are counted by what can
    be decoded, whatever the file claims.

    `sampling` takes one frame from each of equal parts of the video ("sparse"), frames close together in its middle
    ("dense"), or those shown at even times ("time"), which differs where frames do not come at even times.
    `indices` says itself which frames are wanted: a list, or a function from the number of frames to a list,
    which `sample` has many of; `num_frames` and `sampling` then do not matter.

    `stream` counts the video streams, covers aside; by default it is the one that FFmpeg would take: one marked as the
    default before others, then the largest.

    A video with fewer frames than wanted has them repeated evenly; that is logged as a warning, and so are
    missing and damaged frames.

    Raises VideoError, a ValueError of one line, where the source is none of these, or there is no video to read, or no
    such frame in it.
    """
    if isinstance(source, list | tuple):
        source = _stacked(source)
    if isinstance(source, np.ndarray | Tensor):
        frames = _from_array(source, Wanted("<array>", num_frames, sampling, indices))
        log_problems(frames)
        return frames
    view: dict[str, Any] = {"short_side": short_side, "square_pixels": square_pixels}
    return _logged(read_arrays(source, num_frames, sampling=sampling, indices=indices, stream=stream, **view))


def decode_many(
    sources: Iterable[Source],
    num_frames: int = 8,
    *,
    workers: int = 2,
    timeout: float | None = None,
    memory: int | None = None,
    read: Read = read_arrays,
    **options: Any,
) -> Iterator[Frames | VideoError]:
    """Read every source, in order; one that cannot be read gives its VideoError instead of frames.

    Each of `workers` processes reads one video at a time, for which it may take `timeout` seconds and grow by
    `memory` bytes, by default as much as this process allows itself (`media.set_limits`); a process that goes beyond,
    or dies, is replaced. A few videos are read ahead, so that decoding overlaps what the caller does. With 0 workers
    everything is read in this process when it is asked for; a decoder that hangs or dies is then not helped. `options`
    are those of `read_video`; a rule for `indices`, like `read` itself, must be importable by name where there are
    workers.
    """
    if workers < 0:
        raise ValueError(f"workers={workers}: use 0 or more")
    here = limits_here()
    limits = Limits(
        here.seconds if timeout is None else timeout, here.memory if memory is None else memory, here.frames
    )
    limited = options | ({"limits": limits} if read is read_arrays else {})

    def read_here(source: Source) -> Frames | VideoError:
        try:
            if not isinstance(source, FILE):  # decoded already, or no video
                return read_video(source, num_frames, **options)
            return _logged(read(source, num_frames, **limited))
        except VideoError as error:
            return error

    if workers == 0:
        return (read_here(source) for source in sources)

    def read_there(worker: Worker, source: Source) -> Frames | VideoError:
        if not isinstance(source, FILE):
            return read_here(source)
        file = bytes(source) if isinstance(source, bytearray | memoryview) else source  # which can be sent
        answer = worker.read((source_name(source), read, (file, num_frames), options))
        return answer if isinstance(answer, VideoError) else _logged(answer)

    def read_all() -> Iterator[Frames | VideoError]:
        with closing(Readers(workers, limits)) as readers:
            yield from readers.map(read_there, sources)

    return read_all()


def _logged(decoded: Decoded) -> Frames:
    frames = Frames.from_arrays(decoded)
    log_problems(frames)
    return frames


def problems(frames: Seen | Frames) -> list[str]:
    """The faults of a video that could be read all the same, a line each."""
    found: list[str] = []
    if frames.total < len(frames):
        found.append(f"has {frames.total} frames, {len(frames)} were wanted; some are repeated")
    if frames.missing:
        found.append(f"{frames.missing} of its frames are missing or cannot be decoded")
    if frames.damaged.any():
        found.append(f"{int(frames.damaged.sum())} of the {len(frames)} frames read are damaged")
    return [*found, *frames.notes]


def log_problems(frames: Frames) -> None:
    """Warn of what is wrong with a video that could be read all the same."""
    for problem in problems(frames):
        log.warning("%s: %s", frames.source, problem)


def _stacked(pictures: Sequence[Any]) -> Pictures:
    """Pictures of one size as one array."""
    if not pictures:
        raise VideoError("<array>: is an empty list; give at least one picture")
    arrays = [np.asarray(each.convert("RGB") if hasattr(each, "convert") else each) for each in pictures]
    kinds = sorted({f"{array.dtype} {array.shape}" for array in arrays})
    if len(kinds) > 1 or arrays[0].ndim != 3:
        raise VideoError(
            f"<array>: is a list of {', '.join(kinds[:3])}; give pictures (3, H, W) or (H, W, 3) of one size"
        )
    return np.stack(arrays)


def _from_array(source: NDArray[np.uint8] | Tensor, wanted: Wanted) -> Frames:
    shape = tuple(source.shape)
    if str(source.dtype).removeprefix("torch.") != "uint8" or len(shape) != 4 or 3 not in shape[1::2] or 0 in shape:
        raise VideoError(f"{wanted.name}: is {source.dtype} {shape}; give uint8 frames (N, 3, H, W) or (N, H, W, 3)")
    total = shape[0]
    indices = torch.tensor(wanted.of(total))
    if isinstance(source, Tensor):
        pixels = source[indices]
    else:  # it may run backwards, as OpenCV's colors turned round do, which no tensor can
        pixels = torch.from_numpy(np.ascontiguousarray(source[indices.numpy()]))
    if shape[1] != 3:
        pixels = pixels.permute(0, 3, 1, 2)
    return Frames(
        pixels=pixels,
        indices=indices,
        times=torch.full(indices.shape, float("nan"), dtype=torch.float64),
        total=total,
        damaged=torch.zeros(indices.shape, dtype=torch.bool),
        missing=0,
        source=wanted.name,
    )
