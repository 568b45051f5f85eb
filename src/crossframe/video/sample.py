"""Which frames of a video to look at: pure functions from a number of frames to a list of indices.

Sparse sampling (the paper's choice) cuts the video into T equal segments and takes one frame of each. Where
in its segment a frame lies is an offset in [0, 1): 0.5 is the middle and the rule for testing, a random
number is the rule for training, and V evenly spaced offsets make V views of one video. Dense sampling takes T
frames at a fixed stride instead, and there the offset says where in the video they begin.

All videos have at least one frame, and a video shorter than T has its frames repeated evenly.
"""

from __future__ import annotations

import random

DENSE_STRIDE = 4


def sparse(total: int, num_frames: int, *, offset: float = 0.5) -> list[int]:
    """One frame of each of `num_frames` equal segments: frame `int((i + offset) * total / num_frames)`.

    >>> sparse(16, 8)
    [1, 3, 5, 7, 9, 11, 13, 15]
    >>> sparse(100, 8)
    [6, 18, 31, 43, 56, 68, 81, 93]
    >>> sparse(5, 8)
    [0, 0, 1, 2, 2, 3, 4, 4]
    """
    _check(total, num_frames, offset)
    return [_position(i + offset, total, num_frames) for i in range(num_frames)]


def sparse_random(total: int, num_frames: int, generator: random.Random) -> list[int]:
    """A random frame of each of `num_frames` equal segments, which together cover the whole video, tail included.

    >>> sparse_random(100, 8, random.Random(0))
    [10, 21, 30, 40, 56, 67, 84, 91]
    """
    _check(total, num_frames)
    return [_position(i + generator.random(), total, num_frames) for i in range(num_frames)]


def dense(total: int, num_frames: int, *, stride: int = DENSE_STRIDE, offset: float = 0.5) -> list[int]:
    """`num_frames` frames, `stride` apart; `offset` 0 starts at the first frame, 0.5 lies in the middle of the video.

    A video too short for the stride gets the largest stride that fits; one shorter than `num_frames` is
    sampled sparsely.

    >>> dense(100, 8, stride=4)
    [36, 40, 44, 48, 52, 56, 60, 64]
    >>> dense(100, 8, stride=4, offset=0.0)
    [0, 4, 8, 12, 16, 20, 24, 28]
    >>> dense(20, 8, stride=4)
    [3, 5, 7, 9, 11, 13, 15, 17]
    >>> dense(4, 8)
    [0, 0, 1, 1, 2, 2, 3, 3]
    """
    _check(total, num_frames, offset)
    if stride < 1:
        raise ValueError(f"a stride of {stride} does not move forward; use 1 or more")
    if total < num_frames:
        return sparse(total, num_frames)
    if num_frames > 1:
        stride = min(stride, (total - 1) // (num_frames - 1))
    starts = total - (num_frames - 1) * stride  # how many first frames are possible
    start = int(offset * starts)
    return [start + i * stride for i in range(num_frames)]


def sparse_views(total: int, num_frames: int, num_views: int) -> list[list[int]]:
    """`num_views` sparse draws, evenly shifted within the segments and the same in every run.

    >>> sparse_views(64, 4, 4)
    [[2, 18, 34, 50], [6, 22, 38, 54], [10, 26, 42, 58], [14, 30, 46, 62]]
    >>> sparse_views(64, 4, 1) == [sparse(64, 4)]
    True
    """
    return [sparse(total, num_frames, offset=offset) for offset in view_offsets(num_views)]


def dense_views(total: int, num_frames: int, num_views: int, *, stride: int = DENSE_STRIDE) -> list[list[int]]:
    """`num_views` dense draws that start at evenly spaced places.

    >>> dense_views(100, 4, 2, stride=4)
    [[22, 26, 30, 34], [66, 70, 74, 78]]
    """
    return [dense(total, num_frames, stride=stride, offset=offset) for offset in view_offsets(num_views)]


def view_offsets(num_views: int) -> list[float]:
    """The middles of `num_views` equal parts of [0, 1).

    >>> view_offsets(4)
    [0.125, 0.375, 0.625, 0.875]
    """
    if num_views < 1:
        raise ValueError(f"{num_views} views were asked for; use 1 or more")
    return [(view + 0.5) / num_views for view in range(num_views)]


def _position(place: float, total: int, num_frames: int) -> int:
    # Rounding can carry an offset just below 1 to the end of the video, which is no frame.
    return min(int(place * total / num_frames), total - 1)


def _check(total: int, num_frames: int, offset: float = 0.0) -> None:
    if total < 1:
        raise ValueError(f"a video of {total} frames cannot be sampled; it needs at least 1")
    if num_frames < 1:
        raise ValueError(f"{num_frames} frames were asked for; use 1 or more")
    if not 0.0 <= offset < 1.0:
        raise ValueError(f"an offset of {offset} lies outside its segment; use 0 <= offset < 1")
