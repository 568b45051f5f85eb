"""Weights as read from any source, with all that a model made of them needs; and how to read a single file."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from crossframe.model.config import ModelConfig
from crossframe.text.tokenizer import Tokenizer
from crossframe.video.transform import Preprocess
from crossframe.weights.convert import recognize, to_ours
from crossframe.weights.errors import WeightsError, errors_in, shorten
from crossframe.weights.files import read_tensors
from crossframe.weights.infer import infer_config
from crossframe.weights.tables import IMAGE_ONLY, LANGUAGE_IMAGE, Layout

log = logging.getLogger(__name__)


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


def default_preprocess(config: ModelConfig) -> Preprocess:
    """The preprocessing of weights that come without one: CLIP's for a plain CLIP, else that of X-CLIP's authors."""
    plain = config.vision.mixing == "none" and config.mit is None and config.prompts is None
    size = config.vision.image_size
    return Preprocess.clip(size) if plain else Preprocess.xclip(size)


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
