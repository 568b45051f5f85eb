"""Mixup and cutmix: each clip of a batch gets a part of another clip, and the same part of its target.

`Mixup` draws a `Mix`, which is applied to videos and to targets. Labels are smoothed in the loss, as without mixing:
smoothing and mixing are both linear, so their order does not matter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import TYPE_CHECKING

from crossframe.model.config import Box

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """One draw for some clips: clip i keeps `share` of itself, and the rest is of clip `partners[i]`.

    Without a `box` the pixels are blended (mixup). With one, the partner's pixels fill it in all frames (cutmix), and
    `share` is the part of the picture outside it.
    """

    partners: tuple[int, ...]
    share: float
    box: Box | None = None

    def videos(self, videos: Tensor, others: Tensor | None = None) -> Tensor:
        """(B, T, 3, S, S) -> the same shape; the input stays as it is. `others`: the partners, if given already."""
        others = videos[list(self.partners)] if others is None else others
        if self.box is None:
            return self.share * videos + (1 - self.share) * others
        left, top, right, bottom = self.box
        mixed = videos.clone()
        mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return mixed

    def targets(self, targets: Tensor, others: Tensor | None = None) -> Tensor:
        """Target distributions over K texts, (B, K) -> (B, K)."""
        others = targets[list(self.partners)] if others is None else others
        return self.share * targets + (1 - self.share) * others


@dataclass(frozen=True, slots=True)
class Mixup:
    """The paper's mixing: clips are cut with probability `switch` and blended otherwise, never neither.

    The shares come from Beta(a, a), where a is `mixup` or `cutmix`: small for one clip that prevails, 1 for all shares
    alike. As in the authors' code, one draw serves many clips, and a clip may be its own partner. With `group`, clips
    are drawn and paired in groups of at most so many, as on the authors' GPUs of 8; None for the whole batch at once.
    """

    mixup: float = 0.8
    cutmix: float = 1.0
    switch: float = 0.5
    group: int | None = None

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not (isfinite(alpha) and alpha > 0):
                raise ValueError(f"an alpha of {alpha} for {name} is not possible; use a number above 0")
        if not 0 <= self.switch <= 1:
            raise ValueError(f"a switch of {self.switch} is no probability; use 0 (only mixup) to 1 (only cutmix)")
        if self.group is not None and self.group < 1:
            raise ValueError(f"groups of {self.group} clips are not possible; use 1 or more, or null for whole batches")

    def draws(self, clips: int, size: int, generator: random.Random) -> list[tuple[list[int], Mix]]:
        """The numbers of the clips of each group, out of a batch of `clips`, and their draw, which counts within it."""
        if self.group is None:
            return [(list(range(clips)), self.draw(clips, size, generator))]
        order = generator.sample(range(clips), clips)  # neighbors in a data set are often of one class
        groups = [order[start : start + self.group] for start in range(0, clips, self.group)]
        return [(numbers, self.draw(len(numbers), size, generator)) for numbers in groups]

    def draw(self, clips: int, size: int, generator: random.Random) -> Mix:
        """One draw for `clips` clips whose frames have side `size`."""
        cut = generator.random() < self.switch
        alpha = self.cutmix if cut else self.mixup
        share = generator.betavariate(alpha, alpha)
        partners = tuple(generator.sample(range(clips), clips))
        if not cut:
            return Mix(partners, share)
        box = cut_box(size, share, generator.randrange(size), generator.randrange(size))
        left, top, right, bottom = box
        return Mix(partners, 1 - (right - left) * (bottom - top) / size**2, box)


def cut_box(size: int, share: float, x: int, y: int) -> Box:
    """The square around (x, y) that leaves `share` of a picture of side `size`, cut off at the picture's edges.

    What is cut off, and sides that are rounded down to an even number, leave more than `share`; labels follow the box
    and not the share that was drawn.

    >>> cut_box(224, 0.75, 112, 10)
    (56, 0, 168, 66)
    """
    half = int(size * sqrt(1 - share)) // 2
    return max(x - half, 0), max(y - half, 0), min(x + half, size), min(y + half, size)
