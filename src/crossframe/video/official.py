"""Habits of the authors' code that change numbers, for those who need their numbers.

Their training sampler gives every segment `total // num_frames` frames, so the last `total % num_frames`
frames of a video are never seen; a video shorter than `num_frames` is stretched by rounding half to even, and
an index past its end wraps to frame 0. Their multi-clip testing reuses that random sampler, so its result
changes from run to run. `sample` has none of this.
"""

from __future__ import annotations

from collections.abc import Sequence

from crossframe.video.geometry import Box, three_crop_boxes


def segment_length(total: int, num_frames: int) -> int:
    """How many frames each training segment has; a draw is an integer in [0, segment_length).

    >>> segment_length(100, 8), segment_length(5, 8)
    (12, 0)
    """
    return total // num_frames


def train_indices(total: int, num_frames: int, draws: Sequence[int] = ()) -> list[int]:
    """The indices of one training draw, given its random numbers: one in [0, segment_length) for each
    segment.

    A video shorter than `num_frames` needs no draws.

    >>> train_indices(17, 8, [0, 1, 1, 0, 1, 1, 1, 1])
    [0, 3, 5, 6, 9, 11, 13, 15]
    >>> train_indices(2, 8)
    [0, 0, 0, 1, 1, 1, 0, 0]
    """
    length = segment_length(total, num_frames)
    if length == 0:
        stretched = [round(i * total / num_frames) for i in range(num_frames)]
        return [index if index < total else 0 for index in stretched]
    if len(draws) != num_frames:
        raise ValueError(f"{len(draws)} draws were given for {num_frames} segments; give one for each")
    if not all(0 <= draw < length for draw in draws):
        raise ValueError(f"draws {list(draws)} leave their segments; each must be in [0, {length})")
    return [i * length + draw for i, draw in enumerate(draws)]


def multi_clip_indices(total: int, num_frames: int, draws: Sequence[Sequence[int]]) -> list[list[int]]:
    """The indices of multi-clip testing: one training draw for each clip.

    >>> multi_clip_indices(16, 4, [[0, 3, 1, 2], [1, 1, 1, 1]])
    [[0, 7, 9, 14], [1, 5, 9, 13]]
    """
    return [train_indices(total, num_frames, clip) for clip in draws]


def three_crop_order(width: int, height: int, size: int) -> list[Box]:
    """The three test crops in the authors' order: first, last, middle.

    >>> three_crop_order(298, 224, 224)
    [(0, 0, 224, 224), (74, 0, 298, 224), (37, 0, 261, 224)]
    """
    first, middle, last = three_crop_boxes(width, height, size)
    return [first, last, middle]
