"""Training pictures: crop, flip, color jitter and grayscale, computed on the device.

`draws.Augment` draws and `apply` computes. What chance decided for a clip is a `Draw` between the two: plain numbers,
which can be repeated, compared or written by hand. Pictures are gray levels 0..255 until they are normalized.

Shape letters: B clips, T frames, N pictures (frames of several clips), S the model's picture side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from crossframe.model.preprocess import Preprocess, to_device
from crossframe.video.draws import REACH, Change, Draw, Jitter

# The shares of red, green and blue in a gray level: ITU-R 601 luma, in the whole 65536ths of 8-bit software.
LUMA = (19595 / 65536, 38470 / 65536, 7471 / 65536)


def apply(
    clips: Tensor | Sequence[Tensor],
    draws: Sequence[Draw],
    preprocess: Preprocess,
    device: torch.device | str | None = None,
    *,
    eight_bit: bool = False,
) -> Tensor:
    """Clips as `draws` say, normalized: float32 (B, T, 3, S, S) on `device`.

    `clips` are (T, 3, H, W) of any sizes or one (B, T, 3, H, W), uint8 or float gray levels 0..255. The order is the
    authors': resize to the short side, crop, resize to S, flip, jitter, grayscale, normalize. With `eight_bit`, gray
    levels become whole numbers wherever an 8-bit picture would be stored between two of these.
    """
    _check(clips, draws)
    views = [
        _view(to_device(clip, device).contiguous(), draw, preprocess, eight_bit)
        for clip, draw in zip(clips, draws, strict=True)
    ]
    pictures = torch.stack(views).flatten(0, 1)  # (N, 3, S, S), N = B * T
    num_frames = len(clips[0])
    jitter_(pictures, [jitter for draw in draws for jitter in _for_each_frame(draw, num_frames)], eight_bit=eight_bit)
    if rows := _places([draw.gray for draw in draws for _ in range(num_frames)]):
        gray = to_device(torch.tensor(rows), pictures.device)
        pictures[gray] = grayscale(pictures[gray], eight_bit=eight_bit).expand(-1, 3, -1, -1)
    return preprocess.normalize_(pictures).unflatten(0, (len(draws), num_frames))


def jitter_(pictures: Tensor, jitters: Sequence[Jitter], *, eight_bit: bool = False) -> None:
    """Change the colors of float (N, 3, H, W), gray levels 0..255, in place: one jitter for each picture.

    Brightness blends a picture with black, contrast with its mean gray level, saturation with its grayscale.
    """
    for changes in zip_longest(*jitters):  # all first changes together, then all second ones
        _change(pictures, changes, eight_bit)


def grayscale(pictures: Tensor, *, eight_bit: bool = False) -> Tensor:
    """Float (N, 3, H, W) -> (N, 1, H, W), in the same units."""
    red, green, blue = pictures.split(1, dim=1)
    gray = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return (gray + 0.5).floor_() if eight_bit else gray


def _check(clips: Tensor | Sequence[Tensor], draws: Sequence[Draw]) -> None:
    if not len(clips) or len(clips) != len(draws):
        raise ValueError(f"{len(draws)} draws were given for {len(clips)} clips; give one for each, of at least one")
    for clip, draw in zip(clips, draws, strict=True):
        if clip.dim() != 4 or clip.shape[1] != 3 or 0 in clip.shape:
            raise ValueError(f"a clip of shape {tuple(clip.shape)} is not (T, 3, H, W); put the 3 colors second")
        if len(draw.jitter) not in (0, 1, len(clip)):
            raise ValueError(f"{len(draw.jitter)} jitters do not fit {len(clip)} frames; give 0, 1 or {len(clip)}")
    lengths = sorted({len(clip) for clip in clips})
    if len(lengths) > 1:
        raise ValueError(f"clips of {lengths} frames do not fit into one batch; sample the same number from each")


def _for_each_frame(draw: Draw, num_frames: int) -> Sequence[Jitter]:
    if len(draw.jitter) == num_frames:
        return draw.jitter
    return (draw.jitter[0] if draw.jitter else (),) * num_frames


def _view(clip: Tensor, draw: Draw, preprocess: Preprocess, eight_bit: bool) -> Tensor:
    """(T, 3, H, W) -> float (T, 3, S, S)"""
    width, height = preprocess.frame_size(clip.shape[-1], clip.shape[-2])
    left, top, right, bottom = draw.box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"the box {draw.box} is not inside a frame of {width}x{height}; draw it for this size")
    frames = _resize(clip, width, height, preprocess, eight_bit)
    view = _resize(frames[..., top:bottom, left:right], preprocess.size, preprocess.size, preprocess, eight_bit)
    return view.flip(-1) if draw.flip else view


def _resize(pictures: Tensor, width: int, height: int, preprocess: Preprocess, eight_bit: bool) -> Tensor:
    scaled = preprocess.resize(pictures, width, height)
    return scaled.round() if eight_bit else scaled


def _places(chosen: Sequence[bool]) -> list[int]:
    """The places of what is chosen."""
    return [place for place, it_is in enumerate(chosen) if it_is]


def _change(pictures: Tensor, changes: Sequence[Change | None], eight_bit: bool) -> None:
    """Change the colors of (N, 3, S, S) in place, for each picture by a change of its own or not at all."""
    for kind in REACH:
        found = _places([change is not None and change.kind == kind for change in changes])
        if not found:
            continue
        rows = to_device(torch.tensor(found), pictures.device)
        amounts = [change.amount for change in changes if change is not None and change.kind == kind]
        amount = to_device(torch.tensor(amounts), pictures.device).view(-1, 1, 1, 1)
        chosen = pictures[rows]
        match kind:
            case "brightness":
                changed = _blend(torch.zeros_like(amount), chosen, amount, eight_bit)
            case "contrast":
                mean = grayscale(chosen, eight_bit=eight_bit).mean(dim=(1, 2, 3), keepdim=True)
                changed = _blend((mean + 0.5).floor() if eight_bit else mean, chosen, amount, eight_bit)
            case "saturation":
                changed = _blend(grayscale(chosen, eight_bit=eight_bit), chosen, amount, eight_bit)
            case "hue":
                changed = _turn_hue(chosen, amount, eight_bit)
        pictures[rows] = changed


def _blend(base: Tensor, pictures: Tensor, factor: Tensor, eight_bit: bool) -> Tensor:
    """From `base` toward the picture and, where the factor is above 1, beyond it; 8 bits cut the fraction off."""
    blended = (base + factor * (pictures - base)).clamp_(0.0, 255.0)
    return blended.floor_() if eight_bit else blended


def _turn_hue(pictures: Tensor, turn: Tensor, eight_bit: bool) -> Tensor:
    """Turn the hue of HSV by `turn` of the circle; value and saturation stay.

    An 8-bit HSV picture keeps hue and saturation in steps of 1/255 with the fraction cut off, but its hue starts again
    after 256 steps, not 255.
    """
    value = pictures.amax(dim=1, keepdim=True)  # (N, 1, S, S)
    chroma = value - pictures.amin(dim=1, keepdim=True)
    lack = (value - pictures) / chroma.clamp_min(1e-6)  # of each color: 0 where it is full, 1 where there is least
    if eight_bit:
        lack = lack.double()  # as 8-bit software adds; sums in single precision would miss its steps here and there
    red, green, blue = lack.split(1, dim=1)
    sixth = torch.where(red == 0, blue - green, torch.where(green == 0, 2 + red - blue, 4 + green - red)).float()
    hue = (sixth / 6) % 1  # that of a gray is 0
    if eight_bit:
        hue = ((hue * 255).floor() + (turn * 255).trunc()) % 256 / 255
        chroma = value * ((chroma / value.clamp_min(1.0) * 255).floor() / 255)
    else:
        hue = hue + turn
    # Each color is a trapezoid over the circle: full for two sixths, none for two, straight between them.
    start = to_device(torch.tensor((5.0, 3.0, 1.0)), pictures.device).view(3, 1, 1)
    place = (start + 6 * hue) % 6  # (N, 3, S, S)
    turned = value - chroma * torch.minimum(place, 4 - place).clamp(0.0, 1.0)
    return (turned + 0.5).floor_() if eight_bit else turned
