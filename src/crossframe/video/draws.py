"""Training pictures: the random choices of crop, flip, color jitter and grayscale, which `augment` applies.

Nothing here needs torch, so that a recipe is read and checked at once.

Shape letters: B clips, T frames, S the model's picture side.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from crossframe.model.config import Box

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crossframe.model.preprocess import Preprocess

Kind: TypeAlias = Literal["brightness", "contrast", "saturation", "hue"]

MULTISCALE = (1.0, 0.875, 0.75, 0.66)
# How far the paper's jitter goes: factors lie in 1 - reach .. 1 + reach, and the hue's shift in -reach .. reach.
REACH: dict[Kind, float] = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}


class Change(NamedTuple):
    """One change of colors. `amount` is a factor, and 1 changes nothing; for the hue it is a share of the color
    circle, and 0 changes nothing."""

    kind: Kind
    amount: float


Jitter: TypeAlias = tuple[Change, ...]  # one after the other


@dataclass(frozen=True, slots=True)
class Draw:
    """The random choices for one clip.

    `box`: the part of the resized frame that becomes the picture. `jitter`: nothing, one for the whole clip, or one for
    each frame.
    """

    box: Box
    flip: bool = False
    jitter: tuple[Jitter, ...] = ()
    gray: bool = False


@dataclass(frozen=True, slots=True)
class Augment:
    """The paper's augmentation: a multi-scale crop of the resized frame, then flip, color jitter and grayscale with
    these probabilities.

    Set `flip` to 0 where left and right matter. All frames of a clip share one jitter; with `flicker` each has its own,
    and with `eight_bit` pictures are rounded to 8 bits after every operation, both as in the authors' code.
    """

    scales: tuple[float, ...] = MULTISCALE
    flip: float = 0.5
    jitter: float = 0.8
    gray: float = 0.2
    flicker: bool = False
    eight_bit: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueError(f"crop scales {self.scales} are not possible; give at least one, above 0 and up to 1")
        for name, chance in (("flip", self.flip), ("jitter", self.jitter), ("gray", self.gray)):
            if not 0 <= chance <= 1:
                raise ValueError(f"a probability of {chance} for {name} is not possible; use 0 to 1")

    def __call__(
        self,
        clips: Tensor | Sequence[Tensor],
        preprocess: Preprocess,
        generators: Sequence[random.Random],
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Random views of clips, in the place of `preprocess(clips)`: float32 (B, T, 3, S, S) on `device`.

        Each clip has a generator of its own, so its view does not depend on the clips that it shares a batch with.
        """
        if len(generators) != len(clips):
            raise ValueError(f"{len(generators)} generators were given for {len(clips)} clips; give one for each")
        from crossframe.video.augment import apply

        draws = [self.draw(clip.shape, preprocess, rng) for clip, rng in zip(clips, generators, strict=True)]
        return apply(clips, draws, preprocess, device, eight_bit=self.eight_bit)

    def draw(self, shape: Sequence[int], preprocess: Preprocess, generator: random.Random) -> Draw:
        """Chance for a clip of `shape` (T, 3, H, W)."""
        num_frames, _, height, width = shape
        boxes = multiscale_boxes(*preprocess.frame_size(width, height), preprocess.size, self.scales)
        # The jitter comes last: it takes more or fewer numbers, and must not change what the others get.
        box = generator.choice(boxes)
        flip = generator.random() < self.flip
        gray = generator.random() < self.gray
        jitters = num_frames if self.flicker else 1
        jitter = [_draw_jitter(generator) for _ in range(jitters)] if generator.random() < self.jitter else []
        return Draw(box, flip, tuple(jitter), gray)


def _draw_jitter(generator: random.Random) -> Jitter:
    changes = [
        Change(kind, generator.uniform(-reach, reach) + (0.0 if kind == "hue" else 1.0))
        for kind, reach in REACH.items()
    ]
    generator.shuffle(changes)
    return tuple(changes)


def multiscale_boxes(width: int, height: int, size: int, scales: tuple[float, ...] = MULTISCALE) -> list[Box]:
    """The boxes of the paper's training crop; a draw takes one of them uniformly, and repeated boxes count twice.

    Sides are the short side times a scale (one that is within 2 pixels of `size` becomes `size`); width and height are
    at most one scale apart; boxes lie in the four corners and the middle, on a grid of quarters of the free space.

    >>> len(multiscale_boxes(340, 256, 224))
    50
    >>> multiscale_boxes(340, 256, 224)[5:10]
    [(0, 0, 224, 256), (116, 0, 340, 256), (0, 0, 224, 256), (116, 0, 340, 256), (58, 0, 282, 256)]
    """
    sides = [int(min(width, height) * scale) for scale in scales]
    sides = [size if abs(side - size) <= 2 else side for side in sides]
    boxes: list[Box] = []
    for row, box_height in enumerate(sides):
        for box_width in sides[max(row - 1, 0) : row + 2]:
            step_x, step_y = (width - box_width) // 4, (height - box_height) // 4
            for column, line in ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2)):
                x, y = column * step_x, line * step_y
                boxes.append((x, y, x + box_width, y + box_height))
    return boxes
