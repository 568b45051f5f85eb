"""Self-contained HTML pages: pictures are inside the file, so it opens offline and travels as one piece."""

from __future__ import annotations

import base64
from importlib import resources

import av
import numpy as np
from torch import Tensor


def png(pixels: Tensor) -> bytes:
    """uint8 (3, H, W) -> the bytes of a PNG file."""
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), format="rgb24")
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "rgb24"
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))


def data_uri(pixels: Tensor) -> str:
    """uint8 (3, H, W) -> a PNG as the value of an `src` attribute."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def render(name: str, **values: object) -> str:
    """The page `name`.html of this folder, filled in; everything is escaped."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = resources.files(__name__).joinpath(f"{name}.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(**values)
