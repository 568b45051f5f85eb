"""How the authors' code draws frames, for those who need their numbers (`train.official`, `test.official`).

Every segment has `total // num_frames` frames, so the last `total % num_frames` frames of a video are never seen; a
video shorter than `num_frames` is stretched by rounding half to even, and an index past its end wraps to frame 0.
`sample` has none of this. Their tests in several clips draw at random in the same way, so that the result changes from
run to run; here a clip's place in the list decides, so that it does not.
"""

from __future__ import annotations

from collections.abc import Sequence


def segment_length(total: int, num_frames: int) -> int:
    """How many frames each training segment has; a draw is an integer in [0, segment_length).

    >>> segment_length(100, 8), segment_length(5, 8)
    (12, 0)
    """
    return total // num_frames


def train_indices(total: int, num_frames: int, draws: Sequence[int] = ()) -> list[int]:
    """The indices of one training draw, given its random numbers: one in [0, segment_length) for each segment.

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
