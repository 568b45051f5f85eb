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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from crossframe.model.config import (
    ModelConfig,
    MultiFrameConfig,
    PoolConfig,
    Projection,
    PromptConfig,
    TextConfig,
    VisionConfig,
)
from crossframe.model.preprocess import Preprocess, default_preprocess
from crossframe.taught import Taught
from crossframe.text.conventions import Cleaning, Conventions, FamilyTokenizer, pad_id
from crossframe.text.tokenizer import Tokenizer
from crossframe.weights.archive import Contents, open_weights
from crossframe.weights.convert import their_names, to_ours
from crossframe.weights.errors import WeightsError, errors_in, shorten
from crossframe.weights.families import LANGUAGE_IMAGE, META_PE, NEED_CONFIG, VIFI_CLIP
from crossframe.weights.search import check_relatives, find, recognize
from crossframe.weights.tables import IMAGE_ONLY, Layout

log = logging.getLogger(__name__)

_WORDS = "text.token_embed.weight"

Facts: TypeAlias = Mapping[str, Any]  # fields of a tower's config

# The ViTs above L (H, g and bigG) have 16 heads whatever their width, and so has PE's G.
_SIXTEEN_HEADS = (1280, 1408, 1536, 1664)
_GEMMA = 256000  # ids of SigLIP 2's tokenizer
_HALF = (0.5, 0.5, 0.5)
# What the shapes of Meta's own files do not tell, whose configurations lie in their code.
_META_PE: dict[str, Any] = {"activation": "gelu", "rotary": "pe", "resize": "bilinear", "pool_heads": 8}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors under our names, with the config, preprocessing and tokenizer of their model.

    `layout` is that of the source (None: our own), so that errors can use its names. `taught`: what training left.
    """

    config: ModelConfig
    tensors: dict[str, Tensor]
    preprocess: Preprocess
    tokenizer: Tokenizer | None
    layout: Layout | None
    taught: Taught = field(default_factory=Taught)


def read_file(path: Path, place: str | None = None, base: Checkpoint | None = None) -> Checkpoint:
    """A single file of weights in the layout of OpenAI, the authors of X-CLIP, Hugging Face or ViFi-CLIP.

    `place`: where in the file they lie, when it holds several. `base`: the CLIP that gives what a ViFi-CLIP leaves out.
    The architecture is read off the shapes; what they do not tell is as in OpenAI's and the authors' files.
    """
    with errors_in(path), open_weights(path) as contents:
        check_relatives(contents.tensors, named=place is not None)
        found = find(contents.tensors, LANGUAGE_IMAGE, place)
        if found is None:
            raise WeightsError(_unknown(contents))
        tensors, layout = to_ours(contents.read(found.paths), found.layout), found.layout
        if layout is VIFI_CLIP:
            tensors[_WORDS] = _words_of(base)
        elif base is not None:
            raise WeightsError("a base was given, and it lacks nothing: load it without one")
        if layout is META_PE:
            config = infer_config(tensors, layout, vision=_META_PE, text={"activation": "gelu"})
            images, told = Preprocess(config.vision.image_size, None, _HALF, _HALF, antialias=True), ""
        else:
            config = infer_config(tensors, layout)
            size, told = config.vision.image_size, "; heads of 64 channels and QuickGELU, as in CLIP"
            # ViFi-CLIP took the frames that X-CLIP's authors had made
            images = Preprocess.xclip(size) if layout is VIFI_CLIP else default_preprocess(config)
        where = f" at #{found.place}" if found.place else ""
        log.info("%s%s: layout of %s%s", path, where, layout.name, told)
        return Checkpoint(config, tensors, images, default_tokenizer(config, None), layout)


def _words_of(base: Checkpoint | None) -> Tensor:
    """The token embedding of a CLIP, which a ViFi-CLIP does not train, and does not save."""
    if base is None:
        raise WeightsError(
            "a ViFi-CLIP, whose files leave out CLIP's token embedding: give the CLIP that it was trained from, "
            "crossframe.load(file, base='ViT-B-16.pt'), and crossframe.save the result for the commands"
        )
    if _WORDS not in base.tensors:
        raise WeightsError("the base has no token embedding: give the CLIP that it was trained from")
    return base.tensors[_WORDS]


def default_tokenizer(
    config: ModelConfig, folder: Path | None, conventions: Conventions | None = None
) -> Tokenizer | None:
    """The folder's tokenizer, or CLIP's when it has none. None for a model that reads no words.

    `conventions`: of a family that does not tokenize as CLIP does, and whose folder must hold its own tokenizer.
    """
    if config.text is None:
        return None
    length = config.text.context_length
    if conventions is not None:
        return None if folder is None else FamilyTokenizer.read(folder, length, conventions)
    own = None if folder is None else Tokenizer.from_folder(folder, length)
    return own or Tokenizer.clip(length)


def conventions_for(text: TextConfig | None, cleaning: Cleaning, folder: Path) -> Conventions:
    """The conventions of a text encoder that is read anywhere but at the largest id, from where it is read."""
    match "largest" if text is None else text.read:
        case "end":  # MetaCLIP 2: XLM-V's ids
            return Conventions(cleaning, 0, text.end_id if text else 2, pad_id(folder, 1))
        case "last":  # SigLIP pads with its end token, SigLIP 2, whose vocabulary is Gemma's, with 0
            end = text.end_id if text else 1
            gemma = text is not None and text.vocab_size >= _GEMMA
            return Conventions(cleaning, None, end, pad_id(folder, 0 if gemma else end))
        case _:
            return Conventions(cleaning, None, None, 0)


def _unknown(contents: Contents) -> str:
    """Why the names in a file are unknown, as far as one can tell."""
    if not contents.tensors:
        found = shorten(contents.entries) or "objects of other kinds"
        return (
            f"holds no tensors, but {found}: save a state dict of tensors, made by torch.from_numpy where it has arrays"
        )
    if any(name.startswith("vision.blocks.") for name in contents.tensors):
        return "a file of crossframe's own: give the folder that it stands in, whose config.json it needs"
    if recognize(contents.tensors, IMAGE_ONLY):
        return (
            "holds an image encoder alone, without words: load a CLIP and give it this encoder with "
            "crossframe.weights.replace_vision(model, path)"
        )
    if other := recognize(contents.tensors, NEED_CONFIG):
        return f"holds weights in the layout of {other.name}: give their folder, whose config file they need"
    return (
        f"holds {shorten(contents.tensors)}, which is no known layout; "
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


def infer_config(
    tensors: Mapping[str, Tensor], layout: Layout, *, vision: Facts | None = None, text: Facts | None = None
) -> ModelConfig:
    """The config of a CLIP, an X-CLIP or another language-image model whose tensors have our names.

    `vision` and `text` are fields of the towers' configs that shapes do not tell, in the place of CLIP's; `pool_heads`
    among them, if not those of the blocks. Other heads are those of the authors' files.

    Raises `WeightsError` when a tensor that tells the architecture is missing, in the words of `layout`.
    """
    shapes = _Shapes(tensors, layout)
    towers = _vision(shapes, vision or {}), _text(shapes, text or {})
    none = towers[0].projection == "none"
    embed_dim = towers[0].width if none else shapes.of("vision.projection", 2)[1]
    heads = head_count(embed_dim)
    mit = prompts = None
    num_frames = 8
    if "mit.position" in tensors:
        num_frames = shapes.of("mit.position", 2)[0]
        mit = MultiFrameConfig(shapes.layers("mit.blocks"), heads, shapes.mlp_width("mit.blocks"))
    if "prompts.alpha" in tensors:
        prompts = PromptConfig(shapes.layers("prompts.layers"), heads, shapes.mlp_width("prompts.layers"))
    return ModelConfig(*towers, embed_dim, num_frames, mit, prompts, logit_bias="logit_bias" in tensors)


def infer_vision(tensors: Mapping[str, Tensor], layout: Layout) -> VisionConfig:
    """The config of an image encoder whose tensors have our names."""
    return _vision(_Shapes(tensors, layout), {})


def _vision(shapes: _Shapes, facts: Facts) -> VisionConfig:
    known = shapes.known
    if "vision.patch_embed.0.weight" in known:
        *stem, width = (shapes.of(f"vision.patch_embed.{i}.weight", 4)[0] for i in (0, 2, 4))
        patch = 16
    else:
        stem: list[int] = []
        width, _, patch, _ = shapes.of("vision.patch_embed.weight", 4)
    heads = facts.get("heads", 16 if width in _SIXTEEN_HEADS else head_count(width))
    pool = None
    if "vision.pool.probe" in known:
        pool = PoolConfig(facts.get("pool_heads", heads), shapes.of("vision.pool.mlp.fc1.weight", 2)[0])
    bare = pool is not None and "vision.class_token" not in known
    class_token = facts.get("class_token", "none" if bare else "placed")
    gated, scaled = (f"vision.blocks.0.{name}.weight" in known for name in ("mlp.gate", "scale1"))
    inferred: dict[str, Any] = {
        "image_size": _grid(shapes, first=class_token == "placed") * patch,
        "patch_size": patch,
        "width": width,
        "layers": shapes.layers("vision.blocks"),
        "heads": heads,
        "mlp_width": shapes.mlp_width("vision.blocks"),
        "pre_norm": "vision.pre_norm.weight" in known,
        "patch_bias": "vision.patch_embed.bias" in known,
        "mixing": "cross_frame" if "vision.blocks.0.message.project.weight" in known else "none",
        "block": "gated" if gated else "scaled" if scaled else "plain",
        "class_token": class_token,
        "registers": shapes.of("vision.registers", 2)[0] if "vision.registers" in known else 0,
        "stem_widths": tuple(stem),
        "pool": pool,
        "projection": _projection(shapes, "vision", optional=pool is not None or scaled),
        "message_from": "patches" if bare else "class",
    }
    return VisionConfig(**inferred | {name: value for name, value in facts.items() if name != "pool_heads"})


def _grid(shapes: _Shapes, *, first: bool) -> int:
    """Patches along one side; `first`: the class token has a place too."""
    places = shapes.of("vision.position", 2)[0]
    grid = math.isqrt(places - first)
    if grid * grid != places - first:
        square = "one more than a square" if first else "a square"
        raise WeightsError(f"{shapes.called('vision.position')} has {places} places, which is not {square}")
    return grid


def _projection(shapes: _Shapes, tower: str, *, optional: bool) -> Projection:
    if optional and f"{tower}.projection" not in shapes.known:
        return "none"
    return "biased" if f"{tower}.projection_bias" in shapes.known else "matrix"


def _text(shapes: _Shapes, facts: Facts) -> TextConfig:
    vocab_size, width = shapes.of("text.token_embed.weight", 2)
    inferred: dict[str, Any] = {
        "vocab_size": vocab_size,
        "width": width,
        "layers": shapes.layers("text.blocks"),
        "heads": head_count(width),
        "mlp_width": shapes.mlp_width("text.blocks"),
        "projection": _projection(shapes, "text", optional="context_length" in facts),
    }
    if "context_length" not in facts:  # fixed positions have no shape
        inferred["context_length"] = shapes.of("text.position", 2)[0]
    return TextConfig(**inferred | dict(facts))


def head_count(width: int) -> int:
    """One head for each 64 channels, as in CLIP and in the authors' X-CLIP."""
    return max(1, width // 64)
