"""Reading videos: a path, bytes or an array becomes T frames, as tensors with checked shapes; and many, read ahead."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Protocol, Self, TypeAlias, cast

import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from crossframe.model.config import resized
from crossframe.taught import FrameRule
from crossframe.video.exact import Decoded, read_arrays
from crossframe.video.given import File, Limits, Readable, Video, VideoError, at_hand, limits_here, source_name
from crossframe.video.isolate import Read, Readers, Worker
from crossframe.video.sample import Choice, Wanted

log = logging.getLogger(__name__)

Pictures: TypeAlias = NDArray[np.uint8] | Tensor


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
    start: float | None = None
    end: float | None = None
    begins: float = 0.0

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
    `source`, the file's name, or `<bytes>` or `<array>`.
    `notes`, what else was noticed, a line each: several video streams, uneven times.
    `start` and `end`, the part of it that was asked for, in seconds after the first frame; None for those of the file.
    `begins`, how many seconds of the file pass before its first frame, of sound alone for instance.
    """

    pixels: Tensor
    indices: Tensor
    times: Tensor
    total: int
    damaged: Tensor
    missing: int
    source: str
    notes: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    begins: float = 0.0

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

    def __repr__(self) -> str:
        frames, _, height, width = self.pixels.shape
        return f"Frames({self.source!r}: {frames} of {self.total}, {width}x{height} pixels, at {self.indices.tolist()})"

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
            start=decoded.start,
            end=decoded.end,
            begins=decoded.begins,
        )

    def seen(self) -> Seen:
        """The same without pixels, whose memory it does not hold."""
        known = {field.name: getattr(self, field.name) for field in fields(Seen)}
        return Seen(**known | {name: known[name].clone() for name in ("indices", "times", "damaged")})

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def chosen(self, places: Sequence[int]) -> Self:
        """The frames at these places among the T."""
        rows = torch.tensor(places)
        named = ("pixels", "indices", "times", "damaged")
        return replace(self, **{name: getattr(self, name)[rows] for name in named})


class Picture(Protocol):
    """An image of Pillow, which is no dependency."""

    def convert(self, mode: str, /) -> Any: ...


VideoSource: TypeAlias = File | Readable | Video | Frames | Pictures | Sequence[Picture] | Sequence[Pictures]


def read_video(
    source: VideoSource,
    num_frames: int = 8,
    *,
    sampling: FrameRule = "sparse",
    indices: Sequence[int] | Choice | None = None,
    short_side: int | None = None,
    square_pixels: bool = False,
    stream: int | None = None,
) -> Frames:
    """Read `num_frames` frames of a video.

    `source` is a path or an address (https, or any that `fsspec` knows), the bytes of a file, a file that is open for
    bytes, or a part of one of these, `crossframe.Video(source, start, end)`; or decoded frames, from which only some
    are chosen: `Frames`, uint8 (N, 3, H, W) or (N, H, W, 3), or a list of such pictures or of images of Pillow.

    Frames come as the file holds them: bit for bit those of a full decode to RGB, with the pixels as coded,
    turned upright where the file says how. `square_pixels` stretches them to the proportions of the screen;
    `short_side` scales down, while they are decoded, frames that are larger, and given ones alike. Frames are
    counted by what can be decoded, whatever the file claims.

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
        source = _stacked(cast("Sequence[Any]", source))
    if isinstance(source, Frames):
        frames = source.chosen(Wanted(source.source, num_frames, sampling, indices).of(len(source)))
    elif isinstance(source, np.ndarray | Tensor):
        frames = _from_array(source, Wanted("<array>", num_frames, sampling, indices))
    else:
        view: dict[str, Any] = {"short_side": short_side, "square_pixels": square_pixels}
        file = cast("Video", source)
        return _logged(read_arrays(file, num_frames, sampling=sampling, indices=indices, stream=stream, **view))
    log_problems(frames)
    return scaled_down(frames, short_side)


def scaled_down(frames: Frames, short_side: int | None) -> Frames:
    """The same frames with this short side, if they are larger, and as files are scaled down while they are decoded: a
    model resizes what it is given without smoothing, as its authors do, and would see another picture."""
    if short_side is None or min(frames.pixels.shape[-2:]) <= short_side:
        return frames
    pictures = _scaled(list(frames.pixels.permute(0, 2, 3, 1).cpu().numpy()), short_side)
    return replace(frames, pixels=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))


def _scaled(pictures: Sequence[NDArray[np.uint8]], short_side: int) -> list[NDArray[np.uint8]]:
    """Pictures (H, W, 3) of one size as they would have been scaled down had they just been decoded."""
    reformatter = VideoReformatter()
    width, height = resized(pictures[0].shape[1], pictures[0].shape[0], short_side)
    frames = [VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24") for picture in pictures]
    shown = (reformatter.reformat(frame, width, height, interpolation="BICUBIC") for frame in frames)
    return [cast("NDArray[np.uint8]", frame.to_ndarray()) for frame in shown]


def timed_frames(
    pictures: Pictures | Sequence[Picture],
    times: Sequence[float],
    num_frames: int,
    sampling: FrameRule,
    short_side: int | None = None,
) -> Frames:
    """`num_frames` of N pictures that are in memory and were shown at these rising times, (N,) in seconds.

    Raises ValueError where there is not such a time for each.
    """
    try:
        shown = torch.as_tensor(times, dtype=torch.float64)
    except (TypeError, ValueError):
        raise ValueError(f"times is {times!r:.60}; give the second at which each frame is shown, rising") from None
    if not len(pictures):
        raise ValueError("there are no frames; give one or more, and the second at which each is shown")
    if shown.shape != (len(pictures),):
        raise ValueError(f"there are {len(pictures)} frames and {len(times)} times; give each a time, rising")
    for number, (time, rises) in enumerate(zip(shown.tolist(), [True, *(shown.diff() > 0).tolist()], strict=True)):
        if not (rises and isfinite(time)):
            raise ValueError(f"frame {number} is at {time:g} s; give each a time, rising")
    seconds = shown.tolist()
    end = 2 * seconds[-1] - seconds[-2] if len(seconds) > 1 else seconds[-1]
    wanted = Wanted("<array>", num_frames, sampling)
    indices = wanted.of(len(seconds), seconds, end)
    frames = read_video(cast("Pictures", pictures), indices=indices, short_side=short_side)
    return replace(frames, times=shown[frames.indices], start=seconds[0], end=end)


def decode_many(
    sources: Iterable[VideoSource],
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
    `memory` bytes, by default as much as this process allows itself (`given.set_limits`); a process that goes beyond,
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

    def read_here(source: VideoSource) -> Frames | VideoError:
        try:
            if decoded_already(source):
                return read_video(source, num_frames, **options)
            return _logged(read(source, num_frames, **limited))
        except VideoError as error:
            return error

    if workers == 0:
        return (read_here(source) for source in sources)

    def read_there(worker: Worker, source: VideoSource) -> Frames | VideoError:
        if decoded_already(source):
            return read_here(source)
        try:
            # the time and memory of a download are not the worker's
            with at_hand(cast("Video", source)) if read is read_arrays else nullcontext(source) as video:
                answer = worker.read((source_name(source), read, (video, num_frames), options))
        except VideoError as error:
            return error
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
        has = f"{frames.total} frame{'s' * (frames.total != 1)}"
        found.append(f"has {has}, {len(frames)} were wanted; some are repeated")
    elif (frames.start, frames.end) != (None, None) and (few := len(frames.indices.unique())) < len(frames):
        found.append(f"has {few} frames in the part asked for, {len(frames)} were wanted; some are repeated")
    found += _lost(frames)
    if frames.damaged.any():
        found.append(f"{int(frames.damaged.sum())} of the {len(frames)} frames read are damaged")
    return [*found, *frames.notes]


def problems_of_file(frames: Seen | Frames) -> list[str]:
    """Of these, what is wrong with the whole file, whichever frames were read."""
    return [*_lost(frames), *frames.notes]


def _lost(frames: Seen | Frames) -> list[str]:
    if frames.missing:
        return [f"{frames.missing} of its frames are missing or cannot be decoded"]
    return []


def log_problems(frames: Frames) -> None:
    """Warn of what is wrong with a video that could be read all the same."""
    for problem in problems(frames):
        log.warning("%s: %s", frames.source, problem)


def decoded_already(source: object) -> bool:
    """True for what holds pixels, and no file."""
    return isinstance(source, list | tuple | Frames | np.ndarray | Tensor)


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
