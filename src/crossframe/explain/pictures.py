"""Pictures of an explanation: frames under a map of relevance, as pixels, PNG files and one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import crossframe
from crossframe import pages
from crossframe.explain.explain import Explanation
from crossframe.files import replacing
from crossframe.pace import signed

SIDE = 288  # pixels of the short side of an overlay, at least
UNSEEN = 0.45  # brightness of what the model does not see
# From little to much; the most relevant place of the clip has the last color, with this much of the frame under it.
COLORS = ((0.15, 0.05, 0.35), (0.75, 0.15, 0.35), (1.0, 0.55, 0.05), (1.0, 1.0, 0.45))
COVER = 0.7
LIGHT = (0.299, 0.587, 0.114)  # of red, green and blue: frames are gray, so that all color is relevance
OTHERS = 5  # labels beside the one that is explained


def overlays(explanation: Explanation) -> Tensor:
    """uint8 (T, 3, H, W): every frame that was looked at, in gray, darker where the model sees nothing of it, and
    colored by relevance. Colors are the same in all frames, so that a pale frame has little to say."""
    pixels = explanation.prediction.pixels
    assert pixels is not None  # an explanation has them
    height, width = pixels.shape[-2:]
    factor = max(1.0, SIDE / min(height, width))
    height, width = round(height * factor), round(width * factor)
    frames = F.interpolate(pixels.float() / 255, (height, width), mode="bilinear")
    frames = (frames * torch.tensor(LIGHT).view(3, 1, 1)).sum(dim=1, keepdim=True).expand_as(frames)
    left, top, right, bottom = (
        round(share * side) for share, side in zip(explanation.view, (width, height) * 2, strict=True)
    )
    heat = explanation.places / explanation.places.max()
    heat = F.interpolate(heat.unsqueeze(1), (bottom - top, right - left), mode="bicubic").clamp(0, 1)  # (T, 1, h, w)
    seen = frames[:, :, top:bottom, left:right]
    cover = COVER * heat
    painted = seen * (1 - cover) + _colored(heat) * cover
    frames = frames * UNSEEN  # and no longer one gray for three colors
    frames[:, :, top:bottom, left:right] = painted
    return (frames * 255).round().clamp(0, 255).to(torch.uint8)


def in_notebook(explanation: Explanation) -> str:
    """The overlays side by side, and the score, as HTML without a style of its own."""
    seen = [pages.data_uri(picture) for picture in overlays(explanation)]
    clip = pages.Clip(explanation.prediction.video, [(explanation.label, explanation.score)], "", seen)
    return pages.render("notebook", each=clip)


def write_pictures(explanation: Explanation, folder: Path) -> list[Path]:
    """Write each overlay as a PNG file named after its frame, and return the paths. Makes the folder if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for index, picture in zip(explanation.prediction.frames.indices.tolist(), overlays(explanation), strict=True):
        paths.append(folder / f"frame-{index:06d}.png")
        with replacing(paths[-1]) as part:
            part.write_bytes(pages.png(picture))
    return paths


def page(explanation: Explanation, made_with: Mapping[str, object] | None = None) -> str:
    """One page of HTML with all of it, pictures too. `made_with`: the model and settings, by name."""
    record = explanation.to_dict(OTHERS)
    reasons = record["explained"]
    evidence = [abs(frame["evidence"]) for frame in reasons["frames"] if frame["evidence"] is not None]
    return pages.render(
        "explanation",
        title=f"Why “{explanation.label}”?",
        lead=f"The model gives it {explanation.score:.1%} in {explanation.prediction.video}.",
        reasons=reasons,
        alone=len(explanation.prediction.labels) == 1 and explanation.prediction.counted is None,
        frames=[
            {**frame, "picture": pages.data_uri(picture)}
            for frame, picture in zip(reasons["frames"], overlays(explanation), strict=True)
        ],
        largest=max(evidence, default=0),
        signed=signed,
        clip=explanation.prediction.on_page(OTHERS),
        made_with=[(name.replace("_", " "), value) for name, value in (made_with or {}).items() if value is not None],
        foot=f"Made by crossframe {crossframe.__version__}.",
    )


def _colored(heat: Tensor) -> Tensor:
    """(T, 1, h, w) from 0 to 1 -> colors (T, 3, h, w)."""
    stops = torch.tensor(COLORS)  # (4, 3)
    at = heat.squeeze(1) * (len(COLORS) - 1)
    lower = at.floor().long().clamp_max(len(COLORS) - 2)
    rest = (at - lower).unsqueeze(-1)
    return (stops[lower] * (1 - rest) + stops[lower + 1] * rest).permute(0, 3, 1, 2)
