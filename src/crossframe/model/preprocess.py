"""Frames become model input: resize, crop and normalize, as tensor operations on whole clips.

Pixels stay uint8 until they are on the device that computes. Shape letters: B clips, T frames, S the model's
image side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from crossframe.model.config import Box, ModelConfig, VisionConfig, resized

Color: TypeAlias = tuple[float, float, float]

IMAGENET_MEAN: Color = (0.485, 0.456, 0.406)
IMAGENET_STD: Color = (0.229, 0.224, 0.225)
CLIP_MEAN: Color = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Color = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The pixels that a model wants of its frames.

    `preprocess(frames)` resizes the short side to `short_side`, cuts the square of side `size` from the
    middle and normalizes. A `short_side` of None squeezes the whole frame into the square instead. `mean` and
    `std` are those of colors in 0..1.
    """

    size: int = 224
    short_side: int | None = 256
    mean: Color = IMAGENET_MEAN
    std: Color = IMAGENET_STD
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"an image side of {self.size} is not possible; use 1 or more")
        if self.short_side is not None and self.short_side < self.size:
            raise ValueError(
                f"a crop of {self.size} does not fit into a short side of {self.short_side}; raise short_side"
            )
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation {self.interpolation!r} is unknown; use 'bilinear' or 'bicubic'")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ValueError(f"mean {self.mean} and std {self.std} need 3 values each, and those of std above 0")

    @classmethod
    def xclip(cls, size: int = 224) -> Preprocess:
        """The authors' validation: short side 256/224 of `size`, bilinear without antialiasing, ImageNet's colors."""
        return cls(size=size, short_side=int(256 / 224 * size))

    @classmethod
    def clip(cls, size: int = 224) -> Preprocess:
        """CLIP's own: short side equal to the image's, bicubic with antialiasing, CLIP's colors."""
        return cls(size, size, CLIP_MEAN, CLIP_STD, interpolation="bicubic", antialias=True)

    def at(self, size: int) -> Preprocess:
        """The same for pictures of side `size`, cut from a short side that grows or shrinks with it."""
        return replace(self, size=size, short_side=self.short_side and self.short_side * size // self.size)

    def __call__(self, frames: Tensor | Sequence[Tensor], device: torch.device | str | None = None) -> Tensor:
        """The center view of clips as float32 (B, T, 3, S, S) on `device`.

        `frames` are uint8 (T, 3, H, W), (B, T, 3, H, W), or a list of (T, 3, H, W) of any sizes.
        """

        def center(clips: Tensor) -> Tensor:
            width, height = self.frame_size(clips.shape[-1], clips.shape[-2])
            scaled = self.resize(clips, width, height)
            return self.normalize_(_cut(scaled, center_box(width, height, self.size)))

        return _by_size(frames, device, center)

    def three_crops(self, frames: Tensor | Sequence[Tensor], device: torch.device | str | None = None) -> Tensor:
        """Three spatial views along the long side: the same input as a call takes to float32 (B, 3, T, 3, S, S).

        The short side is resized to `size`, not to `short_side`, as in the paper's evaluation. The order is
        left, center, right or top, center, bottom.
        """

        def three(clips: Tensor) -> Tensor:
            scaled = self.resize(clips, *resized(clips.shape[-1], clips.shape[-2], self.size))
            boxes = three_crop_boxes(scaled.shape[-1], scaled.shape[-2], self.size)
            return self.normalize_(torch.stack([_cut(scaled, box) for box in boxes], dim=1))  # (b, 3, T, 3, S, S)

        return _by_size(frames, device, three)

    def frame_size(self, width: int, height: int) -> tuple[int, int]:
        """The size to which a frame is resized before the image is cut from it."""
        return (self.size, self.size) if self.short_side is None else resized(width, height, self.short_side)

    def resize(self, images: Tensor, width: int, height: int) -> Tensor:
        """Gray levels 0..255, uint8 or float (..., 3, H, W), to float32 (..., 3, height, width)."""
        if images.shape[-2:] == (height, width):
            return images.float()
        flat = images.flatten(0, -4).float()
        scaled = F.interpolate(flat, (height, width), mode=self.interpolation, antialias=self.antialias)
        if self.interpolation == "bicubic":
            scaled = scaled.clamp_(0.0, 255.0)  # the cubic kernel overshoots at edges; an 8-bit image would not
        return scaled.unflatten(0, images.shape[:-3])

    def normalize_(self, images: Tensor) -> Tensor:
        """Float gray levels 0..255 (..., 3, S, S) to the model's units, in place."""
        mean, std = (
            to_device(torch.tensor(color), images.device).view(3, 1, 1) * 255.0 for color in (self.mean, self.std)
        )
        return images.sub_(mean).div_(std)


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


def _check_fits(width: int, height: int, size: int) -> None:
    if min(width, height) < size:
        raise ValueError(f"a crop of {size}x{size} does not fit into a frame of {width}x{height}; resize it first")


def check_input(video: Tensor, vision: VisionConfig) -> None:
    """Raise ValueError, in one line, for what is no clip (B, T, 3, S, S), or cannot be divided into patches."""
    shape = tuple(video.shape)
    clips = video.is_floating_point() and len(shape) == 5 and shape[1] >= 1 and shape[2] == 3
    if clips and shape[3] == shape[4] > 0 and shape[4] % vision.patch_size == 0:
        return
    given = f"shape {shape}" if video.is_floating_point() else f"type {video.dtype}"
    size, patch = vision.image_size, vision.patch_size
    takes = f"(B, T, 3, {size}, {size}), or squares of another multiple of {patch}, normalized floats"
    raise ValueError(f"video has {given}; this model takes {takes}: use model.prepare(frames)")


def default_preprocess(config: ModelConfig) -> Preprocess:
    """The preprocessing of a model that names none: CLIP's for a plain CLIP, else that of X-CLIP's authors."""
    plain = config.vision.mixing == "none" and config.mit is None and config.prompts is None
    size = config.vision.image_size
    return Preprocess.clip(size) if plain else Preprocess.xclip(size)


def to_device(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """`tensor` on `device`, if one is given; a GPU gets it in its turn, and nobody waits for it until then.

    Apple's GPUs are waited for: they may read memory that was given back meanwhile (pytorch/pytorch issue 189690).
    """
    target = tensor.device if device is None else torch.device(device)
    return tensor.to(target, non_blocking=target.type != "mps")


def _cut(clips: Tensor, box: Box) -> Tensor:
    left, top, right, bottom = box
    return clips[..., top:bottom, left:right]


def _by_size(
    frames: Tensor | Sequence[Tensor], device: torch.device | str | None, convert: Callable[[Tensor], Tensor]
) -> Tensor:
    """Convert clips of equal size together; the result has the order of the input."""
    clips = _checked(frames)
    groups: dict[torch.Size, list[int]] = {}
    for position, clip in enumerate(clips):
        groups.setdefault(clip.shape, []).append(position)
    parts: list[Tensor] = []
    order: list[int] = []
    for positions in groups.values():
        # decoded clips have a pixel's colors side by side in memory; from here on each color lies by itself
        batch = torch.stack([to_device(clips[position], device).contiguous() for position in positions])
        parts.append(convert(batch))
        order += positions
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts)[to_device(torch.tensor(order).argsort(), parts[0].device)]


def _no_clip(given: object) -> ValueError:
    return ValueError(f"{type(given).__name__} is no clip; give tensors (T, 3, H, W), as read_video(path).pixels")


def _checked(frames: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if isinstance(frames, Tensor):
        clips = [frames] if frames.dim() == 4 else list(frames) if frames.dim() == 5 else []
        if not clips:
            raise ValueError(
                f"frames of shape {tuple(frames.shape)} are no clips; give (T, 3, H, W) or (B, T, 3, H, W)"
            )
    else:
        if not isinstance(frames, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - as below
            raise _no_clip(frames)
        clips = list(frames)
        if not clips:
            raise ValueError("no clip was given; give at least one")
    for clip in clips:
        if not isinstance(clip, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise _no_clip(clip)
        if clip.dim() != 4 or clip.shape[1] != 3 or 0 in clip.shape:
            raise ValueError(f"a clip of shape {tuple(clip.shape)} is not (T, 3, H, W); put the 3 colors second")
        if clip.dtype != torch.uint8:
            raise ValueError(f"pixels of type {clip.dtype} were given; give uint8, 0 to 255")
    lengths = sorted({clip.shape[0] for clip in clips})
    if len(lengths) > 1:
        raise ValueError(f"clips of {lengths} frames do not fit into one batch; sample the same number from each")
    return clips
