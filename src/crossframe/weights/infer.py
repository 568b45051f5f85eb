"""A single file of weights to a checkpoint, its architecture inferred from the names and shapes of the tensors.

Shapes do not tell the number of heads, the activation or the epsilon of the norms. Here they are those of CLIP and
X-CLIP: heads of 64 channels, QuickGELU, 1e-5. A config file, where there is one, takes precedence (`hf_config.py`,
`open_clip.py`).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from crossframe.model.config import ModelConfig, MultiFrameConfig, PromptConfig, TextConfig, VisionConfig
from crossframe.model.preprocess import Preprocess, default_preprocess
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights.archive import read_tensors
from crossframe.weights.convert import recognize, their_names, to_ours
from crossframe.weights.errors import WeightsError, errors_in, shorten
from crossframe.weights.tables import IMAGE_ONLY, LANGUAGE_IMAGE, Layout

log = logging.getLogger(__name__)

# The ViTs above L (H, g and bigG) have 16 heads whatever their width.
_SIXTEEN_HEADS = (1280, 1408, 1664)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors under our names, with the config, preprocessing and tokenizer of their model.

    `layout` is that of the source (None: our own), so that errors can use its names.
    """

    config: ModelConfig
    tensors: dict[str, Tensor]
    preprocess: Preprocess
    tokenizer: Tokenizer | None
    layout: Layout | None


def read_file(path: Path) -> Checkpoint:
    """A single file of weights in the layout of OpenAI, the authors of X-CLIP or Hugging Face.

    The architecture is read off the shapes; what they do not tell is as in OpenAI's and the authors' files.
    """
    tensors = read_tensors(path)
    with errors_in(path):
        layout = recognize(tensors, LANGUAGE_IMAGE)
        if layout is None:
            raise WeightsError(_unknown(tensors))
        tensors = to_ours(tensors, layout)
        config = infer_config(tensors, layout)
        log.info("%s: layout of %s; heads of 64 channels and QuickGELU, as in CLIP", path, layout.name)
        return Checkpoint(config, tensors, default_preprocess(config), default_tokenizer(config, None), layout)


def default_tokenizer(config: ModelConfig, folder: Path | None) -> Tokenizer | None:
    """The folder's tokenizer, or CLIP's when it has none. None for a model that reads no words."""
    if config.text is None:
        return None
    length = config.text.context_length
    own = None if folder is None else Tokenizer.from_folder(folder, length)
    return own or Tokenizer.clip(length)


def _unknown(tensors: dict[str, Tensor]) -> str:
    """Why the names in a file are unknown, as far as one can tell."""
    if recognize(tensors, IMAGE_ONLY):
        return (
            "holds an image encoder alone, without words: load a CLIP and give it this encoder with "
            "crossframe.weights.replace_vision(model, path)"
        )
    if "visual.layer1.0.conv1.weight" in tensors:
        return "its image encoder is a ResNet; only vision transformers are supported"
    if any(name.startswith("vision.blocks.") for name in tensors):
        return "a file of crossframe's own: give the folder that it stands in, whose config.json it needs"
    return (
        f"holds {shorten(tensors)}, which is no known layout; "
        f"known are {', '.join(known.name for known in LANGUAGE_IMAGE)}"
    )


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
