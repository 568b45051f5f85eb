"""Reading a video: a path, bytes or an array becomes T frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossframe.video.error import VideoError
from crossframe.video.exact import read_arrays
from crossframe.video.frames import Frames
from crossframe.video.wanted import Choice, Sampling, Wanted

log = logging.getLogger(__name__)

Source: TypeAlias = str | os.PathLike[str] | bytes | NDArray[np.uint8] | Tensor


def read_video(
    source: Source,
    num_frames: int = 8,
    *,
    sampling: Sampling = "sparse",
    indices: Sequence[int] | Choice | None = None,
    short_side: int | None = None,
    square_pixels: bool = False,
) -> Frames:
    """Read `num_frames` frames of a video.

    `source` is a path, the bytes of a file, or decoded frames, uint8 (N, 3, H, W) or (N, H, W, 3), from which
    only frames are chosen.

    Frames come as the file holds them: bit for bit those of a full decode to RGB, with the pixels as coded,
    turned upright where the file says how. `square_pixels` stretches them to the proportions of the screen;
    `short_side` scales down, while they are decoded, frames that are larger. Frames are counted by what can
    be decoded, whatever the file claims.

    `indices` says itself which frames are wanted: a list, or a function from the number of frames to a list,
    which `sample` has many of; `num_frames` and `sampling` then do not matter.

    A video with fewer frames than wanted has them repeated evenly; that is logged as a warning, and so are
    missing and damaged frames.

    Raises VideoError, a ValueError of one line, where the source is none of these, or there is no video to read, or no
    such frame in it.
    """
    if isinstance(source, np.ndarray | Tensor):
        frames = _from_array(source, Wanted("<array>", num_frames, sampling, indices))
    else:
        frames = Frames.from_arrays(
            read_arrays(
                source,
                num_frames,
                sampling=sampling,
                indices=indices,
                short_side=short_side,
                square_pixels=square_pixels,
            )
        )
    log_problems(frames)
    return frames


def log_problems(frames: Frames) -> None:
    """Warn of what is wrong with a video that could be read all the same."""
    if frames.total < len(frames):
        log.warning("%s: has %d frames, %d were wanted; some are repeated", frames.source, frames.total, len(frames))
    if frames.missing:
        log.warning("%s: %d of its frames are missing or cannot be decoded", frames.source, frames.missing)
    if frames.damaged.any():
        log.warning("%s: %d of the %d frames read are damaged", frames.source, int(frames.damaged.sum()), len(frames))


def _from_array(source: NDArray[np.uint8] | Tensor, wanted: Wanted) -> Frames:
    shape = tuple(source.shape)
    if str(source.dtype).removeprefix("torch.") != "uint8" or len(shape) != 4 or 3 not in shape[1::2] or 0 in shape:
        raise VideoError(f"{wanted.name}: is {source.dtype} {shape}; give uint8 frames (N, 3, H, W) or (N, H, W, 3)")
    total = shape[0]
    indices = torch.tensor(wanted.of(total))
    if isinstance(source, Tensor):
        pixels = source[indices]
    else:  # it may run backwards, as OpenCV's colours turned round do, which no tensor can
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
