"""Which frames of a video to look at: pure functions from a number of frames to a list of indices.

Sparse sampling (the paper's choice) cuts the video into T equal segments and takes one frame of each. Where
in its segment a frame lies is an offset in [0, 1): 0.5 is the middle and the rule for testing, a random
number is the rule for training, and V evenly spaced offsets make V views of one video. Dense sampling takes T
frames at a fixed stride instead, and there the offset says where in the video they begin.

All videos have at least one frame, and a video shorter than T has its frames repeated evenly. Where frames come at
uneven times, `evenly_timed` follows the clock instead of the count.

The authors' code has habits of its own, kept here for those who need its numbers (`data.tail`, `test.random_views`):
every segment has `total // num_frames` frames, so the last `total % num_frames` frames of a video are never seen; a
video shorter than `num_frames` is stretched by rounding half to even, and an index past its end wraps to frame 0. Its
tests in several clips draw at random in the same way, so that the result changes from run to run; here a clip's place
in the list decides, so that it does not.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeAlias

from crossframe.taught import FRAME_RULES, FrameRule
from crossframe.video.given import VideoError

DENSE_STRIDE = 4
Choice: TypeAlias = Callable[[int], Sequence[int]]  # from the number of frames to the wanted indices


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


def evenly_timed(times: Sequence[float], end: float, num_frames: int, offsets: Sequence[float] = ()) -> list[int]:
    """The frames on the screen at `num_frames` even times, of frames shown from `times` on, the last until `end`.

    `offsets` say where in its equal part of the time each of them lies, by default in the middle.

    >>> evenly_timed([0.0, 0.1, 0.2, 0.3, 2.0, 3.0], 4.0, 4)
    [3, 3, 4, 5]
    """
    _check(len(times), num_frames)
    step = (end - times[0]) / num_frames
    margin = 1e-6  # a frame shown from 0.3 s on is there at 0.3 s, whatever the fractions say
    places = enumerate(offsets or [0.5] * num_frames)
    return [max(bisect_right(times, times[0] + (i + offset) * step + margin) - 1, 0) for i, offset in places]


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


class Wanted:
    """The wanted frames of the video called `name`, by a sampling rule or by `indices`: a list, or a rule of
    the caller's own.

    With `part`, they are chosen among the frames from the first number until before the last, as if those were all.
    A rule is asked once for each number of frames, so that it may draw random numbers.
    """

    def __init__(
        self,
        name: str,
        num_frames: int,
        sampling: FrameRule,
        indices: Sequence[int] | Choice | None = None,
        part: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.evenly = indices is None and sampling == "sparse"  # by the count, which uneven times mislead
        self._num_frames = num_frames
        self._sampling = sampling
        self._indices = indices
        self._part = part
        self._known: dict[int, list[int]] = {}
        if indices is not None:
            return
        if num_frames < 1:
            raise VideoError(f"{name}: {num_frames} frames were asked for; use 1 or more")
        if sampling not in FRAME_RULES:
            raise VideoError(f"{name}: sampling {sampling!r} is unknown; use 'sparse', 'dense' or 'time'")

    def supposing(self, total: int, times: Sequence[float] = (), end: float = 0.0) -> list[int]:
        """The wanted indices if the video has `total` frames; some may lie outside it.

        `times` and `end` say when each is shown, in seconds, where that is known.
        """
        if total not in self._known:
            self._known[total] = [int(index) for index in self._rule(total, times, end)]
        return self._known[total]

    def of(self, total: int, times: Sequence[float] = (), end: float = 0.0) -> list[int]:
        """The wanted indices of a video that does have `total` frames."""
        indices = self.supposing(total, times, end)
        if not indices:
            raise VideoError(f"{self.name}: no frame was asked for; give at least one index")
        for index in indices:
            if not 0 <= index < total:
                raise VideoError(f"{self.name}: has no frame {index}; its {total} frames are 0 to {total - 1}")
        return indices

    def _rule(self, total: int, times: Sequence[float], end: float) -> Sequence[int]:
        if self._part is None:
            return self.choose(total, times, end)
        # The decoded count decides: packets that cannot be decoded have no frame.
        first, last = self._part[0], min(self._part[1], total)
        if first >= last:
            raise VideoError(f"{self.name}: has only {total} frames, and the clip begins at {first}; check its start")
        end = times[last] if last < len(times) else end
        return [first + index for index in self.choose(last - first, times[first:last], end)]

    def choose(self, total: int, times: Sequence[float], end: float) -> Sequence[int]:
        """The indices among `total` frames, shown from `times` on, the last until `end`, where that is known."""
        if callable(self._indices):
            return self._indices(total)
        if self._indices is not None:
            return self._indices
        if self._sampling == "time" and len(times) == total:
            return evenly_timed(times, end, self._num_frames)
        return (dense if self._sampling == "dense" else sparse)(total, self._num_frames)


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
