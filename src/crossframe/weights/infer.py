"""The architecture, inferred from the names and shapes of the tensors.

Shapes do not tell the number of heads, the activation or the epsilon of the norms. Here they are those of CLIP and
X-CLIP: heads of 64 channels, QuickGELU, 1e-5. A config file, where there is one, takes precedence (`hf_config.py`,
`open_clip.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.weights.convert import their_names
from crossframe.weights.errors import WeightsError
from crossframe.weights.tables import Layout

# The ViTs above L (H, g and bigG) have 16 heads whatever their width.
_SIXTEEN_HEADS = (1280, 1408, 1664)


class _Shapes:
    """Shapes by our names; asking for one that is not there is an error that names it as the layout does."""

    def __init__(self, tensors: Mapping[str, Tensor], layout: Layout) -> None:
        self.known = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        self.layout = layout

    def of(self, name: str, dims: int) -> tuple[int, ...]:
        if name not in self.known:
            raise WeightsError(f"missing {self.called(name)}")
        shape = self.known[name]
        if len(shape) != dims:
            raise WeightsError(f"{self.called(name)} has shape {shape}; expected {dims} dimensions")
        return shape

    def called(self, name: str) -> str:
        return " and ".join(their_names(name, self.layout))

    def layers(self, prefix: str) -> int:
        """The highest number of a layer after `prefix`, plus one."""
        pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
        return 1 + max((int(match[1]) for name in self.known if (match := pattern.match(name))), default=-1)

    def mlp_width(self, prefix: str) -> int:
        return self.of(f"{prefix}.0.mlp.fc1.weight", 2)[0]


def infer_config(tensors: Mapping[str, Tensor], layout: Layout) -> ModelConfig:
    """The config of a CLIP or an X-CLIP whose tensors have our names. Heads are those of the authors' files.

    Raises `WeightsError` when a tensor that tells the architecture is missing, in the words of `layout`.
    """
    shapes = _Shapes(tensors, layout)
    embed_dim = shapes.of("vision.projection", 2)[1]
    heads = head_count(embed_dim)
    mit = prompts = None
    num_frames = 8
    if "mit.position" in tensors:
        num_frames = shapes.of("mit.position", 2)[0]
        mit = MultiFrameConfig(shapes.layers("mit.blocks"), heads, shapes.mlp_width("mit.blocks"))
    if "prompts.alpha" in tensors:
        prompts = PromptConfig(shapes.layers("prompts.layers"), heads, shapes.mlp_width("prompts.layers"))
    return ModelConfig(_vision(shapes), _text(shapes), embed_dim, num_frames, mit, prompts)


def infer_vision(tensors: Mapping[str, Tensor], layout: Layout) -> VisionConfig:
    """The config of an image encoder whose tensors have our names."""
    return _vision(_Shapes(tensors, layout))


def _vision(shapes: _Shapes) -> VisionConfig:
    width, _, patch, _ = shapes.of("vision.patch_embed.weight", 4)
    places = shapes.of("vision.position", 2)[0]
    grid = math.isqrt(places - 1)
    if grid * grid != places - 1:
        raise WeightsError(
            f"{shapes.called('vision.position')} has {places} places, which is not one more than a square"
        )
    return VisionConfig(
        image_size=grid * patch,
        patch_size=patch,
        width=width,
        layers=shapes.layers("vision.blocks"),
        heads=16 if width in _SIXTEEN_HEADS else head_count(width),
        mlp_width=shapes.mlp_width("vision.blocks"),
        pre_norm="vision.pre_norm.weight" in shapes.known,
        patch_bias="vision.patch_embed.bias" in shapes.known,
        mixing="cross_frame" if "vision.blocks.0.message.project.weight" in shapes.known else "none",
    )


def _text(shapes: _Shapes) -> TextConfig:
    vocab_size, width = shapes.of("text.token_embed.weight", 2)
    return TextConfig(
        vocab_size=vocab_size,
        context_length=shapes.of("text.position", 2)[0],
        width=width,
        layers=shapes.layers("text.blocks"),
        heads=head_count(width),
        mlp_width=shapes.mlp_width("text.blocks"),
    )


def head_count(width: int) -> int:
    """One head for each 64 channels, as in CLIP and in the authors' X-CLIP."""
    return max(1, width // 64)
