"""Which frames of a clip are used, in training and in testing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from crossframe.video.official import segment_length, train_indices
from crossframe.video.sample import dense, dense_views, sparse_random, sparse_views


@dataclass(frozen=True, slots=True)
class Sampling:
    """T frames of a clip: one from each of T equal parts (`sparse`, the paper's choice), or T close together (`dense`).

    Testing takes fixed frames, in each of `views` views; training draws one view at random. With `official`, frames are
    drawn as by the authors' code (`crossframe.video.official`), where several views of a test are draws, too.
    """

    num_frames: int = 8
    rule: Literal["sparse", "dense"] = "sparse"
    views: int = 1
    official: bool = False

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.views < 1:
            raise ValueError(f"{self.num_frames} frames in {self.views} views were asked for; use 1 or more")
        if self.rule not in ("sparse", "dense"):
            raise ValueError(f"sampling {self.rule!r} is unknown; use 'sparse' or 'dense'")
        if self.official and self.rule != "sparse":
            raise ValueError(f"the authors' code has no {self.rule} sampling; leave official out, or sample sparsely")

    @property
    def draws_tests(self) -> bool:
        """Whether a test takes what `train` draws."""
        return self.official and self.views > 1

    def test(self, total: int) -> list[int]:
        """The frames of all views, one view after the other: views * T indices, the same in every run.

        >>> Sampling(num_frames=2, views=2).test(16)
        [2, 10, 6, 14]
        """
        choose = sparse_views if self.rule == "sparse" else dense_views
        return [index for view in choose(total, self.num_frames, self.views) for index in view]

    def train(self, total: int, generator: random.Random) -> list[int]:
        """T indices at random places; with `official`, as many for each of the views.

        >>> Sampling(num_frames=8, official=True).train(2, random.Random(0))
        [0, 0, 0, 1, 1, 1, 0, 0]
        """
        if self.official:
            return [index for _ in range(self.views) for index in self._official(total, generator)]
        if self.rule == "sparse":
            return sparse_random(total, self.num_frames, generator)
        return dense(total, self.num_frames, offset=generator.random())

    def _official(self, total: int, generator: random.Random) -> list[int]:
        length = segment_length(total, self.num_frames)
        draws = [generator.randrange(length) for _ in range(self.num_frames)] if length else ()
        return train_indices(total, self.num_frames, draws)
