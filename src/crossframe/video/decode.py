"""Wanted frames of a video, exactly: counted by decoding, whatever the container claims."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from crossframe.video.frames import Frames, VideoError
from crossframe.video.media import Media, open_media
from crossframe.video.sample import dense, sparse

__all__ = ["Choice", "Frames", "Source", "VideoError", "read_video"]

log = logging.getLogger(__name__)

Source: TypeAlias = str | os.PathLike[str] | bytes | NDArray[np.uint8] | Tensor
Choice: TypeAlias = Callable[[int], Sequence[int]]  # from the number of frames to the wanted indices


def read_video(
    source: Source,
    num_frames: int = 8,
    *,
    sampling: Literal["sparse", "dense"] = "sparse",
    indices: Sequence[int] | Choice | None = None,
    short_side: int | None = None,
    square_pixels: bool = False,
) -> Frames:
    """Read `num_frames` frames of a video.

    `source` is a path, the bytes of a file, or decoded frames, uint8 (N, 3, H, W) or (N, H, W, 3). Frames come as they are stored:
    bit for bit those of a full decode to RGB, turned as the file says, with the pixels as coded. `square_pixels` stretches them to the
    proportions of the screen; `short_side` scales frames down, while they are decoded, that are larger than that. `indices` chooses
    frames itself: a list, or a function from the number of frames to a list; `num_frames` and `sampling` then do not matter.

    A video with fewer frames than wanted has them repeated evenly; that, and damage, is logged as a warning.

    Raises VideoError where there is no video to read, or an index lies outside it.
    """
    name = _name(source)
    choose = _choice(name, num_frames, sampling, indices)
    if short_side is not None and short_side < 1:
        raise VideoError(f"{name}: a short side of {short_side} is not possible; use 1 or more")
    if isinstance(source, np.ndarray | Tensor):
        return _from_array(torch.as_tensor(source), name, choose)
    data = source if isinstance(source, bytes) else Path(source)
    _check_readable(data, name)
    collect = partial(_Collector, choose=choose, short_side=short_side, square_pixels=square_pixels)
    frames = _decode_all(data, name, collect)
    _warn(frames)
    return frames


@dataclass(slots=True)
class _Collector:
    """Keeps the wanted frames of one pass over a video that is believed to have `total` frames."""

    media: Media
    total: int
    choose: Choice
    short_side: int | None
    square_pixels: bool
    wanted: dict[int, list[int]] = field(init=False)  # frame index to places in the result
    indices: list[int] = field(init=False)
    times: list[float] = field(init=False)
    damaged: list[bool] = field(init=False)
    pixels: Tensor | None = None

    def __post_init__(self) -> None:
        self.indices = [int(index) for index in self.choose(self.total)]
        self.times = [float("nan")] * len(self.indices)
        self.damaged = [False] * len(self.indices)
        self.wanted = {}
        for place, index in enumerate(self.indices):
            self.wanted.setdefault(index, []).append(place)

    def add(self, index: int, frame: VideoFrame) -> None:
        """Convert and keep frame number `index` if it is wanted."""
        places = self.wanted.get(index)
        if places is None:
            return
        picture = torch.from_numpy(self.media.picture(frame, self.short_side, self.square_pixels).copy())
        if self.pixels is None:
            self.pixels = torch.empty((len(self.indices), 3, *picture.shape[:2]), dtype=torch.uint8)
        for place in places:
            self.pixels[place] = picture.permute(2, 0, 1)
            self.times[place] = float("nan") if frame.time is None else frame.time
            self.damaged[place] = frame.is_corrupt

    def result(self, total: int, missing: int) -> Frames:
        assert self.pixels is not None  # every caller has added at least one frame
        return Frames(
            pixels=self.pixels,
            indices=torch.tensor(self.indices),
            times=torch.tensor(self.times, dtype=torch.float64),
            total=total,
            damaged=torch.tensor(self.damaged),
            missing=missing,
            source=self.media.name,
        )


def _decode_all(data: Path | bytes, name: str, collect: Callable[..., _Collector]) -> Frames:
    """Decode every frame and count; a second time in the rare case that the count was not the number of packets."""
    with open_media(data, name) as media:
        guess = sum(1 for _ in media.packets())
    for _ in range(2):
        with open_media(data, name) as media:
            media.use_threads(True)
            collector = collect(media, max(guess, 1))
            count = broken = 0
            for packet in media.packets():
                frames = media.decode(packet)
                broken += frames is None
                for frame in frames or ():
                    collector.add(count, frame)
                    count += 1
            for frame in media.decode(None) or ():
                collector.add(count, frame)
                count += 1
            if count == 0:
                raise VideoError(f"{name}: holds no frame that can be decoded; give a video file that plays")
            if count == guess:
                return collector.result(count, max(media.stream.frames - count, 0))
            guess = count
    raise VideoError(f"{name}: gives other frames each time it is read; give a file that nobody writes to")


def _warn(frames: Frames) -> None:
    if frames.total < len(frames):
        log.warning("%s: has only %d frames for the %d wanted; some are repeated", frames.source, frames.total, len(frames))
    if frames.missing:
        log.warning("%s: %d of its frames are missing or cannot be decoded", frames.source, frames.missing)
    if frames.damaged.any():
        log.warning("%s: %d of the %d frames read are damaged", frames.source, int(frames.damaged.sum()), len(frames))


def _from_array(pixels: Tensor, name: str, choose: Choice) -> Frames:
    """Choose among frames that somebody else has decoded."""
    if pixels.dim() == 4 and pixels.shape[1] != 3 and pixels.shape[3] == 3:
        pixels = pixels.permute(0, 3, 1, 2)
    if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise VideoError(f"{name}: is {pixels.dtype} {tuple(pixels.shape)}; give uint8 frames (N, 3, H, W) or (N, H, W, 3)")
    total = pixels.shape[0]
    indices = torch.tensor(choose(total))
    return Frames(
        pixels=pixels[indices],
        indices=indices,
        times=torch.full(indices.shape, float("nan"), dtype=torch.float64),
        total=total,
        damaged=torch.zeros(indices.shape, dtype=torch.bool),
        missing=0,
        source=name,
    )


def _choice(name: str, num_frames: int, sampling: str, indices: Sequence[int] | Choice | None) -> Choice:
    """The rule by which frames are chosen, with every index it gives checked."""
    if callable(indices):
        rule = indices
    elif indices is not None:
        fixed = [int(index) for index in indices]

        def rule(_total: int) -> Sequence[int]:
            return fixed
    else:
        if num_frames < 1:
            raise VideoError(f"{name}: {num_frames} frames were asked for; use 1 or more")
        if sampling not in ("sparse", "dense"):
            raise VideoError(f"{name}: sampling {sampling!r} is unknown; use 'sparse' or 'dense'")
        rule = partial(sparse if sampling == "sparse" else dense, num_frames=num_frames)

    def checked(total: int) -> Sequence[int]:
        chosen = rule(total)
        if not len(chosen):
            raise VideoError(f"{name}: no frame was asked for; give at least one index")
        outside = [index for index in chosen if not 0 <= index < total]
        if outside:
            raise VideoError(f"{name}: has no frame {outside[0]}; its {total} frames are 0 to {total - 1}")
        return chosen

    return checked


def _check_readable(data: Path | bytes, name: str) -> None:
    """The mistakes for which the operating system knows better words than FFmpeg."""
    if isinstance(data, Path):
        if not data.exists():
            raise VideoError(f"{name}: does not exist; check the path")
        if data.is_dir():
            raise VideoError(f"{name}: is a folder; give the video files in it")
        if data.is_file() and data.stat().st_size == 0:
            raise VideoError(f"{name}: is empty; give a video file that plays")
    elif not data:
        raise VideoError(f"{name}: is empty; give the bytes of a video file")


def _name(source: Source) -> str:
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, np.ndarray | Tensor):
        return "<array>"
    return os.fspath(source)
