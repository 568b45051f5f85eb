"""What reading a video gives: frames as tensors, with checked shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from crossframe.video.collect import Decoded


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """T frames of one video and where in it they come from.

    `pixels` uint8 (T, 3, H, W), red green blue; those of a file lie in memory as they came, the colours of a pixel side
    by side (channels last).
    `indices` int64 (T,), positions among the frames of the video in the order of showing, from 0.
    `times` float64 (T,), seconds on the file's own clock, which need not start at 0; NaN where nobody knows.
    `total`, how many frames the video has, counted.
    `damaged` bool (T,), True where the decoder had to repair the picture.
    `missing`, about how many frames the file promises beyond `total`: it was cut off, or they cannot be decoded.
    `source`, the file's name, or "<bytes>" or "<array>".
    """

    pixels: Tensor
    indices: Tensor
    times: Tensor
    total: int
    damaged: Tensor
    missing: int
    source: str

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
            raise ValueError(f"pixels are {pixels.dtype} {tuple(pixels.shape)}; they must be uint8 (T, 3, H, W)")
        for name, row, dtype in (
            ("indices", self.indices, torch.int64),
            ("times", self.times, torch.float64),
            ("damaged", self.damaged, torch.bool),
        ):
            if row.dtype != dtype or row.shape != pixels.shape[:1]:
                raise ValueError(f"{name} is {row.dtype} {tuple(row.shape)}; it must be {dtype} ({pixels.shape[0]},)")
        if self.indices.min() < 0 or self.indices.max() >= self.total:
            raise ValueError(f"indices {self.indices.tolist()} lie outside the {self.total} frames of the video")

    @classmethod
    def from_arrays(cls, decoded: Decoded) -> Self:
        """The same memory, as tensors."""
        return cls(
            pixels=torch.from_numpy(decoded.pixels).permute(0, 3, 1, 2),
            indices=torch.from_numpy(decoded.indices),
            times=torch.from_numpy(decoded.times),
            total=decoded.total,
            damaged=torch.from_numpy(decoded.damaged),
            missing=decoded.missing,
            source=decoded.source,
        )

    def __len__(self) -> int:
        return self.pixels.shape[0]
