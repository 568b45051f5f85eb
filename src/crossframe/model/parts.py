"""The part that every parameter of the model belongs to: one table, by name.

Optimizer groups, freezing, blending, expansion and messages about untrained parts all ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PartName = Literal["pretrained", "text", "message", "mit", "prompts", "head"]
PRETRAINED: tuple[PartName, ...] = ("pretrained", "text")  # the towers of CLIP; all else is new in a video model


@dataclass(frozen=True, slots=True)
class Part:
    """Parameters that are treated alike. `words`: how messages call them."""

    name: PartName
    words: str

    @property
    def new(self) -> bool:
        """True for what a video model has beyond CLIP."""
        return self.name not in PRETRAINED


# The first that matches the start of a name counts.
_PARTS: tuple[tuple[str, Part], ...] = (
    (r"vision\.blocks\.\d+\.message\.", Part("message", "cross-frame messages")),
    (r"vision\.projection$", Part("pretrained", "projection of the image encoder")),
    (r"vision\.", Part("pretrained", "image encoder")),
    (r"logit_(scale|bias)$", Part("pretrained", "scale of the logits")),
    (r"mit\.", Part("mit", "multi-frame transformer")),
    (r"prompts\.", Part("prompts", "video-specific prompts")),
    (r"text\.learned$", Part("head", "learned label vectors")),
    (r"text\.", Part("text", "text encoder")),
    (r"head\.", Part("head", "linear head")),
)


def part_of(name: str) -> Part:
    """The part that a parameter of `XCLIP` belongs to. Raises `ValueError` for a name that the model does not have."""
    for pattern, part in _PARTS:
        if re.match(pattern, name):
            return part
    raise ValueError(f"'{name}' is no parameter of the model: its parts are {', '.join(p.words for _, p in _PARTS)}")


def words_for(names: Iterable[str]) -> list[str]:
    """Readable names of the parts that these parameters belong to, in alphabetical order."""
    return sorted({part_of(name).words for name in names})
