"""`crossframe.expand`: a language-image model becomes a video model; and an image encoder is exchanged for another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from crossframe.model.config import Mixing, ModelConfig, MultiFrameConfig, PromptConfig, VisionConfig, new_parts
from crossframe.model.parts import words_for
from crossframe.model.preprocess import Preprocess
from crossframe.model.vision import VisionTransformer
from crossframe.model.xclip import XCLIP
from crossframe.weights import hub
from crossframe.weights.archive import read_tensors
from crossframe.weights.convert import to_ours
from crossframe.weights.errors import WeightsError, errors_in, shorten
from crossframe.weights.folder import CONFIG, read_json, read_pictures, read_weights
from crossframe.weights.hf_config import vit_from_hf
from crossframe.weights.infer import infer_vision
from crossframe.weights.loading import check_depth, check_tensors, with_positions
from crossframe.weights.search import find
from crossframe.weights.sources import is_hub_id
from crossframe.weights.tables import IMAGE_ONLY

log = logging.getLogger(__name__)

P = TypeVar("P", MultiFrameConfig, PromptConfig)

# What an ImageNet ViT has where its file does not say (timm's); CLIP's has QuickGELU and 1e-5.
_TIMM_EPS = 1e-6


def expand(
    model: XCLIP,
    num_frames: int = 8,
    *,
    mixing: Mixing = "cross_frame",
    message_time: bool = False,
    mit_layers: int = 1,
    prompt_layers: int = 2,
    learned_vectors: int = 0,
    num_classes: int | None = None,
) -> XCLIP:
    """A new model with the weights of `model` and the paper's three parts, which start as in the paper, untrained.

    Parts that `model` has already keep their weights; parts that are switched off are left out. The switches are those
    of the paper's ablations: `mixing` is what frames see of each other ("cross_frame", "none" or "joint"),
    `mit_layers=0` averages the frames, `prompt_layers=0` leaves the labels alone, `learned_vectors` stand before every
    label, and `num_classes` puts a linear head in the place of words and prompts. Beyond the paper, `message_time`
    gives messages a learned position in time, which starts at zero.

    Families other than CLIP are expanded alike: without a class token, messages are made of the mean of the patches,
    and the multi-frame transformer takes the pooled embedding (docs/families.md).

    CLIP's own pictures become those that the authors trained with (ImageNet's colors), also where all parts are
    switched off, so that every line of an ablation sees the same; others stay as they are. New values are drawn from
    torch's random generator. Raises `ConfigError` for parts that do not go together.
    """
    old = model.config
    classes = old.num_classes if num_classes is None else num_classes
    mit, prompts = new_parts(old.embed_dim, mit_layers=mit_layers, prompt_layers=prompt_layers)
    message_frames = (old.vision.message_frames or num_frames) if message_time else 0
    config = replace(
        old,
        vision=replace(old.vision, mixing=mixing, message_frames=message_frames),
        text=None if classes or old.text is None else replace(old.text, learned_vectors=learned_vectors),
        num_frames=num_frames,
        mit=_kept_or_new(old.mit, mit),
        prompts=None if classes else _kept_or_new(old.prompts, prompts),
        num_classes=classes,
    )
    size = old.vision.image_size
    pictures = Preprocess.xclip(size) if model.preprocess == Preprocess.clip(size) else model.preprocess
    if mixing == "cross_frame":
        log.info("%s", _how_messages_go(config.vision))
    return _rebuild(config, model.state_dict(), model, pictures)


def _how_messages_go(vision: VisionConfig) -> str:
    """The choices that the paper leaves open for families other than CLIP (docs/families.md)."""
    made = "the mean of its patches" if vision.message_from == "patches" else "its class token"
    turned = "" if vision.rotary == "none" else "; rotary positions turn patches and leave messages as they are"
    return f"each frame's message is made of {made}{turned}"


def _kept_or_new(old: P | None, new: P) -> P | None:
    """The old part where it has the wanted number of layers, else the new one; None for no layers."""
    if new.layers == 0:
        return None
    return old if old is not None and old.layers == new.layers else new


def replace_vision(model: XCLIP, source: str | Path) -> XCLIP:
    """A new model with the words of `model`, a CLIP, and an image encoder that was trained without words.

    `source` is a ViT in timm's or Hugging Face's layout: a file, a folder or a model of the hub. Its projection to the
    joint space is new and untrained. Raises `WeightsError` when the source is something else, or `model` is expanded
    already.
    """
    old = model.config
    if old.vision.mixing == "cross_frame" or old.mit or old.prompts:
        raise WeightsError("the video parts belong to the image encoder: exchange it before crossframe.expand")
    path = Path(source).expanduser()
    if not path.exists() and isinstance(source, str) and is_hub_id(source):
        path = hub.fetch(source)
    vision, tensors, colors = _read_vit(path)
    rest = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("vision.")}
    pictures = replace(Preprocess.xclip(vision.image_size), **colors)
    return _rebuild(replace(old, vision=vision), rest | tensors, model, pictures)


def _read_vit(path: Path) -> tuple[VisionConfig, dict[str, Tensor], dict[str, Any]]:
    """Config, tensors under our names, and the mean and std of colors where the source tells them."""
    folder = path if path.is_dir() else None
    tensors = read_tensors(path) if folder is None else read_weights(folder, "transformers")
    with errors_in(path):
        found = find(tensors, IMAGE_ONLY)
        if found is None:
            raise WeightsError(f"holds {shorten(tensors)}, which is no ViT in timm's or Hugging Face's layout")
        layout = found.layout
        tensors = to_ours({name: tensors[place] for name, place in found.paths.items()}, layout)
        vision = replace(infer_vision(tensors, layout), activation="gelu", norm_eps=_TIMM_EPS)
        values = {} if folder is None else read_json(folder / CONFIG)
        if "model_type" in values:
            vision = vit_from_hf(values, vision)
        check_depth(vision.layers, len(tensors))
        with torch.device("meta"):
            wanted = VisionTransformer(vision, embed_dim=1).state_dict()
        expected = {f"vision.{name}": tuple(t.shape) for name, t in wanted.items() if name != "projection"}
        check_tensors(tensors, expected, layout)
        if folder is None:
            return vision, tensors, {}
        colors = read_pictures(folder) or {}
        colors = {"mean": colors.get("image_mean"), "std": colors.get("image_std")}
        if "pretrained_cfg" in values:  # timm's
            colors = {name: values["pretrained_cfg"].get(name) for name in ("mean", "std")}
        return vision, tensors, {name: tuple(value) for name, value in colors.items() if value}


def _rebuild(config: ModelConfig, kept: Mapping[str, Tensor], model: XCLIP, preprocess: Any) -> XCLIP:
    """A model of `config` with those tensors of `kept` that fit into it; says what is new and what is left out."""
    grown = XCLIP(config, tokenizer=model.tokenizer if config.text else None, preprocess=preprocess)
    state = grown.state_dict()
    kept = with_positions(kept, config)
    kept = {name: t for name, t in kept.items() if name in state and t.shape == state[name].shape}
    if new := words_for(state.keys() - kept.keys()):
        log.warning("untrained, to be learned from videos: %s", ", ".join(new))
    if gone := words_for(model.state_dict().keys() - state.keys()):
        log.info("left out: %s", ", ".join(gone))
    grown.load_state_dict({**state, **kept})
    same_classes = config.num_classes == model.config.num_classes
    grown.taught = replace(model.taught, calibration=None, **({} if same_classes else {"labels": ()}))
    return grown.to(model.device, model.dtype).eval()
