"""Which part of a frame to look at: pure functions from sizes to sizes and boxes.

A box is `(x1, y1, x2, y2)` in pixels, the right and lower edge excluded.
"""

from __future__ import annotations

from typing import TypeAlias

Box: TypeAlias = tuple[int, int, int, int]

MULTISCALE = (1.0, 0.875, 0.75, 0.66)


def resized(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The size whose short side is `short_side`, in the same proportions; each side is rounded to the nearest pixel.

    >>> resized(1280, 720, 256)
    (455, 256)
    """
    factor = short_side / min(width, height)
    return int(width * factor + 0.5), int(height * factor + 0.5)


def center_box(width: int, height: int, size: int) -> Box:
    """The square of side `size` in the middle.

    >>> center_box(340, 256, 224)
    (58, 16, 282, 240)
    """
    _check_fits(width, height, size)
    left, top = (width - size) // 2, (height - size) // 2
    return left, top, left + size, top + size


def three_crop_boxes(width: int, height: int, size: int) -> list[Box]:
    """Three squares along the long side: left, center, right, or top, center, bottom.

    They are whole steps of `(long side - size) // 2` apart, so an odd remainder leaves the last column or row
    unused. The frame's short side must be `size`.

    >>> three_crop_boxes(298, 224, 224)
    [(0, 0, 224, 224), (37, 0, 261, 224), (74, 0, 298, 224)]
    """
    _check_fits(width, height, size)
    if min(width, height) != size:
        raise ValueError(
            f"three crops of {size} need a short side of {size}, and the frame is {width}x{height}; resize it first"
        )
    step = (max(width, height) - size) // 2
    starts = [(0, 0), (step, 0), (2 * step, 0)] if width > height else [(0, 0), (0, step), (0, 2 * step)]
    return [(x, y, x + size, y + size) for x, y in starts]


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


def _check_fits(width: int, height: int, size: int) -> None:
    if min(width, height) < size:
        raise ValueError(f"a crop of {size}x{size} does not fit into a frame of {width}x{height}; resize it first")
