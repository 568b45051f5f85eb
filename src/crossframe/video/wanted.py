"""Which frames of a video somebody wants, before it is known how many it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

from crossframe.video.error import VideoError
from crossframe.video.sample import dense, sparse

Sampling: TypeAlias = Literal["sparse", "dense"]
Choice: TypeAlias = Callable[[int], Sequence[int]]  # from the number of frames to the wanted indices


class Wanted:
    """The wanted frames of the video called `name`, by a sampling rule or by `indices`: a list, or a rule of
    the caller's own.

    A rule is asked once for each number of frames, so that it may draw random numbers.
    """

    def __init__(
        self, name: str, num_frames: int, sampling: Sampling, indices: Sequence[int] | Choice | None = None
    ) -> None:
        self.name = name
        self._known: dict[int, list[int]] = {}
        self._rule: Choice
        if callable(indices):
            self._rule = indices
        elif indices is not None:
            self._rule = lambda _total: indices
        elif num_frames < 1:
            raise VideoError(f"{name}: {num_frames} frames were asked for; use 1 or more")
        elif sampling not in ("sparse", "dense"):
            raise VideoError(f"{name}: sampling {sampling!r} is unknown; use 'sparse' or 'dense'")
        else:
            self._rule = partial(sparse if sampling == "sparse" else dense, num_frames=num_frames)

    def supposing(self, total: int) -> list[int]:
        """The wanted indices if the video has `total` frames; some may lie outside it."""
        if total not in self._known:
            self._known[total] = [int(index) for index in self._rule(total)]
        return self._known[total]

    def of(self, total: int) -> list[int]:
        """The wanted indices of a video that does have `total` frames."""
        indices = self.supposing(total)
        if not indices:
            raise VideoError(f"{self.name}: no frame was asked for; give at least one index")
        for index in indices:
            if not 0 <= index < total:
                raise VideoError(f"{self.name}: has no frame {index}; its {total} frames are 0 to {total - 1}")
        return indices


def source_name(source: object) -> str:
    """What messages call a file, or the bytes of one. Raises VideoError for anything else."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if not isinstance(source, bytes):
        raise VideoError(
            f"{type(source).__name__} is no video; give a path, the bytes of a file, or an array of uint8 frames"
        )
    return "<bytes>"
