"""Self-contained HTML pages: images are embedded, so that a page is one file that opens offline.

`base.html` has the style, `clip.html` a strip of frames with scores; the others are whole pages.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import torch
from torch import Tensor

STRIP = 8  # pictures side by side
PICTURE_SIDE = 144  # pixels: sharp at the width of a page, small enough for a hundred of them


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip on a page: its predicted labels, best first, the true one if it is known, and images of its frames.

    `problem` says why there are no images, `notes` what else is wrong with the file. `counts` are the labels that
    count, where that is not the best one alone; `none` is True where the answer is none of them.
    """

    name: str
    top: Sequence[tuple[str, float]]
    truth: str = ""
    pictures: Sequence[str] = ()
    problem: str = ""
    notes: Sequence[str] = ()
    counts: Sequence[str] = ()
    none: bool = False

    @property
    def right(self) -> bool:
        """True if the best label is the true one."""
        return bool(self.top) and self.top[0][0] == self.truth


def strip(frames: Tensor) -> list[str]:
    """uint8 (T, 3, H, W), of any size -> the middle of at most 8 of them, evenly spread, as values of `src`."""
    picked = torch.linspace(0, len(frames) - 1, min(STRIP, len(frames))).round().long()
    return [data_uri(_thumbnail(frame)) for frame in frames[picked]]


def data_uri(pixels: Tensor) -> str:
    """uint8 (3, H, W) -> a JPEG as the value of an `src` attribute."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(pixels)).decode()}"


def jpeg(pixels: Tensor) -> bytes:
    """uint8 (3, H, W) -> the bytes of a JPEG file, with colors at full resolution."""
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), format="rgb24")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj444p"
    encoder.time_base = Fraction(1, 25)  # it asks for one, and a picture has none
    encoder.options = {"qmin": "2", "qmax": "4"}
    picture = picture.reformat(format="yuvj444p", dst_color_range="JPEG")
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def png(pixels: Tensor) -> bytes:
    """uint8 (3, H, W) -> the bytes of a PNG file, which loses nothing."""
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), format="rgb24")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "rgb24"
    encoder.time_base = Fraction(1, 25)  # as above
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def render(name: str, **values: object) -> str:
    """The page `name`.html of this folder, filled in; everything is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crossframe", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html").render(**values)


def _thumbnail(frame: Tensor) -> Tensor:
    """uint8 (3, H, W) -> uint8 (3, S, S): the middle of the frame."""
    side = min(frame.shape[1:])
    top, left = (frame.shape[1] - side) // 2, (frame.shape[2] - side) // 2
    square = frame[None, :, top : top + side, left : left + side].float()
    small = torch.nn.functional.interpolate(square, size=PICTURE_SIDE, mode="bilinear", antialias=True)
    return small[0].round().clamp(0, 255).to(torch.uint8)
