"""Reading a checkpoint's folder, whether ours, Hugging Face's or open_clip's."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import safetensors
import torch
from torch import Tensor

from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess, default_preprocess
from crossframe.taught import CLIP, Taught
from crossframe.text.conventions import Conventions, FamilyTokenizer
from crossframe.text.tokenizer import FILE_NAME
from crossframe.weights.archive import read_tensors
from crossframe.weights.convert import to_ours
from crossframe.weights.errors import WeightsError, errors_in
from crossframe.weights.families import TIPSV2
from crossframe.weights.hf_config import config_from_hf, preprocess_from_hf, with_authors_heads
from crossframe.weights.hf_families import READERS, REFUSED, missing_scale
from crossframe.weights.infer import Checkpoint, conventions_for, default_tokenizer
from crossframe.weights.open_clip import config_from_open_clip, layout_of, preprocess_from_open_clip, tokenizer_of
from crossframe.weights.search import find
from crossframe.weights.sources import BEST, LAST
from crossframe.weights.tables import HF_CLIP, HF_XCLIP, Layout

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parents[1] / "bundled" / "shapes"
CONFIG = "config.json"
CLIPS = "clips.npy"  # that the weights were trained on
TAUGHT = "crossframe"  # our entry in transformers' config.json
OPEN_CLIP_CONFIG = "open_clip_config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"  # since transformers 5 in its place, as its entry "image_processor"
_LARGEST_JSON = 64 * 2**20  # bytes
SCHEMA = 1  # of our own config.json; a higher one comes from a newer version of this software

Kind = Literal["crossframe", "transformers", "open_clip"]
WEIGHTS: dict[Kind, tuple[str, ...]] = {  # in the order of preference
    "crossframe": ("model.safetensors",),
    "transformers": (
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ),
    "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"),
}
# Folders of others that hold no config, by a file in them.
_OTHER_FOLDERS = (
    (
        "adapter_config.json",
        "an adapter of peft, not a model: merge it into its model (merge_and_unload) and save that",
    ),
    ("random_states_0.pkl", "a state of accelerate, without a config: give the file of its weights, model.safetensors"),
    ("zero_to_fp32.py", "a checkpoint of DeepSpeed: join its parts with its zero_to_fp32.py, and give the file"),
    (".metadata", "a distributed checkpoint of torch: join its parts with dcp_to_torch_save, and give the file"),
)


def read_folder(folder: Path, weights: str | None = None, *, authors_heads: bool = False) -> Checkpoint:
    """Reads a folder of any kind. `weights`: which of its files, when it holds several and not the usual one is wanted.

    `authors_heads`: see `with_authors_heads`. Raises `WeightsError`.
    """
    match kind := kind_of(folder, weights):
        case "crossframe":
            checkpoint = _read_own(folder, weights)
        case "transformers":
            checkpoint = _read_hf(folder, weights, authors_heads)
        case "open_clip":
            return _read_open_clip(folder, weights)
    return replace(checkpoint, taught=_read_taught(folder, kind, weights))


def belongs_to_folder(path: Path) -> bool:
    """True if a file of weights has a config beside it, which tells more than the shapes of its tensors."""
    named = any(path.name in names for names in WEIGHTS.values())
    return named and any((path.parent / config).is_file() for config in (CONFIG, OPEN_CLIP_CONFIG))


def kind_of(folder: Path, weights: str | None = None) -> Kind:
    """The kind of a folder, by its config file; where there are two, by the one that belongs to `weights`."""
    if weights in WEIGHTS["open_clip"] and (folder / OPEN_CLIP_CONFIG).is_file():
        return "open_clip"
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    if config.get("format") == "crossframe":
        return "crossframe"
    if config.get("model_type") in ("clip", "xclip", "vit", *READERS):
        return "transformers"
    if (folder / OPEN_CLIP_CONFIG).is_file():
        return "open_clip"
    if str(config.get("architecture", "")).startswith(("vit", "deit")):
        return "transformers"  # timm's image encoders lie on the hub under the same file names
    if reason := REFUSED.get(str(config.get("model_type"))):
        raise WeightsError(f"{folder / CONFIG}: {reason}")
    if config:
        raise WeightsError(
            f"{folder / CONFIG} describes a model of type {config.get('model_type')!r}; "
            f"known are crossframe's own, 'clip', 'xclip', {', '.join(map(repr, READERS))}"
        )
    for checkpoint in (folder / LAST, folder / BEST):  # the best one is chosen on clips that are often those of a test
        if (checkpoint / CONFIG).is_file():
            raise WeightsError(f"{folder} is the folder of a run: give {checkpoint}, a checkpoint in it")
    for sign, what in _OTHER_FOLDERS:
        if (folder / sign).exists():
            raise WeightsError(f"{folder} is {what}")
    raise WeightsError(
        f"{folder} holds neither {CONFIG} nor {OPEN_CLIP_CONFIG}: give a checkpoint's folder, or its file"
    )


def own_config(
    config: ModelConfig, preprocess: Preprocess, tokenizer: object = None, taught: Taught | None = None
) -> dict[str, Any]:
    """The content of our own config.json. `tokenizer`: where it is not as CLIP's, its conventions are kept."""
    values = {"format": "crossframe", "schema": SCHEMA, "model": config.to_dict(), "preprocess": asdict(preprocess)}
    if isinstance(tokenizer, FamilyTokenizer):
        values["tokenizer"] = asdict(tokenizer.conventions)
    return values | taught_entries(taught or Taught(), "crossframe")


def taught_entries(taught: Taught, kind: Kind) -> dict[str, Any]:
    """A model's training as entries of config.json; transformers keeps those that it does not know."""
    values = taught.to_dict()
    if values == Taught().to_dict():
        return {}
    return {TAUGHT: values} if kind == "transformers" else {"labels": values.pop("labels"), "training": values}


def _read_taught(folder: Path, kind: Kind, weights: str | None) -> Taught:
    """The training that `taught_entries` and the file of clips describe; an empty one where there are none."""
    values = read_json(folder / CONFIG)
    if kind == "crossframe":
        values = {TAUGHT: {"labels": values["labels"], **values.get("training", {})}} if "labels" in values else {}
    path = folder / (weights or next((name for name in WEIGHTS[kind] if (folder / name).is_file()), ""))
    clips = None
    with errors_in(folder / CLIPS):
        # or it lies there from another save
        if (folder / CLIPS).is_file() and _saved_with(path).get(CLIPS) == digest(folder / CLIPS):
            clips = np.load(folder / CLIPS, allow_pickle=False)
            if clips.dtype != CLIP or clips.ndim != 1:
                raise WeightsError(f"holds {clips.dtype} {clips.shape}; expected a row of clips")
    with errors_in(folder / CONFIG):
        return Taught.from_dict(values.get(TAUGHT, {"labels": []}), clips)


def _saved_with(weights: Path) -> dict[str, str]:
    """The memory of a file of weights: the files that were saved with it, and their hashes."""
    if weights.suffix != ".safetensors":
        return {}  # nothing of ours
    with safetensors.safe_open(weights, "pt") as file:
        return file.metadata() or {}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        if (size := path.stat().st_size) > _LARGEST_JSON:
            raise ValueError(f"it has {size} bytes, and at most {_LARGEST_JSON} are read")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path} holds a {type(values).__name__} where an object was expected")
    return cast("dict[str, Any]", values)


def shard_names(index: Path) -> list[str]:
    """The files listed in an index of sharded weights, which lie beside it."""
    with errors_in(index):
        names = sorted(set(read_json(index)["weight_map"].values()))
        if any(not isinstance(name, str) or Path(name).name != name or not name.isprintable() for name in names):
            raise WeightsError("refers to files outside its folder")
        return names


def read_weights(folder: Path, kind: Kind, name: str | None = None) -> dict[str, Tensor]:
    """All tensors of a folder, or of one of its files, under the names that they have there."""
    name = name or next((name for name in WEIGHTS[kind] if (folder / name).is_file()), None)
    if name is None:
        raise WeightsError(f"{folder} holds no weights; expected {' or '.join(WEIGHTS[kind])}")
    if not name.endswith(".index.json"):
        return read_tensors(folder / name)
    tensors: dict[str, Tensor] = {}
    for shard in shard_names(folder / name):
        tensors |= read_tensors(folder / shard)
    return tensors


def _read_own(folder: Path, weights: str | None) -> Checkpoint:
    path = folder / CONFIG
    values = read_json(path)
    with errors_in(path):
        schema = values.get("schema")
        if not isinstance(schema, int) or schema < 1:
            raise WeightsError(f"its schema is {schema!r}; expected a number from 1 to {SCHEMA}")
        if schema > SCHEMA:
            raise WeightsError(f"has schema {schema}, and this version reads up to {SCHEMA}: upgrade crossframe")
        config = ModelConfig.from_dict(values["model"])
        pictures = values["preprocess"]
        if pictures is None:
            preprocess = default_preprocess(config)
        else:
            preprocess = Preprocess(**pictures | {"mean": tuple(pictures["mean"]), "std": tuple(pictures["std"])})
            made, taken = preprocess.size, config.vision.image_size
            if made != taken:
                raise WeightsError(f"its preprocessing makes pictures of {made}, and the model takes {taken} x {taken}")
        words = values.get("tokenizer")
        tokenizer = default_tokenizer(config, folder, None if words is None else Conventions(**words))
    tensors = read_weights(folder, "crossframe", weights)
    _check_one_save(folder / (weights or WEIGHTS["crossframe"][0]))
    return Checkpoint(config, tensors, preprocess, tokenizer, None)


def digest(path: Path) -> str:
    """SHA-256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_one_save(weights: Path) -> None:
    """Refuse weights saved together with other files than those beside them, as an interrupted save may leave them."""
    known = _saved_with(weights)
    for name in (CONFIG, FILE_NAME, CLIPS):
        if name in known and ((weights.parent / name).is_file() and digest(weights.parent / name)) != known[name]:
            raise WeightsError(
                f"{weights.parent / name} is not what was saved with {weights.name}; save the model again, or put the "
                "file back"
            )


def _read_hf(folder: Path, weights: str | None, authors_heads: bool) -> Checkpoint:
    values = read_json(folder / CONFIG)
    with errors_in(folder / CONFIG):
        family = READERS.get(str(values.get("model_type")))
        config = config_from_hf(values) if family is None else family.config(values)
        conventions = None if family is None else conventions_for(config.text, family.cleaning, folder)
    if authors_heads:
        config = with_authors_heads(config)
    asked = read_pictures(folder)
    if asked is None:
        size = config.vision.image_size
        preprocess = default_preprocess(config) if family is None else family.images(size)
        whose = "CLIP's own" if config.vision.mixing == "none" else "those of X-CLIP's authors"
        whose = whose if family is None else "its family's own"
        log.warning("%s has no %s: its images are taken to be %s", folder, PREPROCESSOR, whose)
    else:
        with errors_in(folder / PREPROCESSOR if (folder / PREPROCESSOR).is_file() else folder / PROCESSOR):
            preprocess = preprocess_from_hf(asked, config.vision.image_size)
    plain = HF_CLIP if config.vision.mixing == "none" else HF_XCLIP
    layout = plain if family is None else family.layout
    tensors = _renamed(folder, read_weights(folder, "transformers", weights), layout)
    if layout is TIPSV2 and "logit_scale" not in tensors:
        tensors["logit_scale"] = torch.tensor(missing_scale(values))
    return Checkpoint(config, tensors, preprocess, default_tokenizer(config, folder, conventions), layout)


def read_pictures(folder: Path) -> dict[str, Any] | None:
    """The image processing that a folder of transformers describes; None if it describes none."""
    if (folder / PREPROCESSOR).is_file():
        return read_json(folder / PREPROCESSOR)
    values = read_json(folder / PROCESSOR) if (folder / PROCESSOR).is_file() else {}
    asked = values.get("image_processor")
    return cast("dict[str, Any]", asked) if isinstance(asked, dict) else None


def _read_open_clip(folder: Path, weights: str | None) -> Checkpoint:
    path = folder / OPEN_CLIP_CONFIG
    values = read_json(path)
    with errors_in(path):
        layout = layout_of(values)  # before the tensors of foreign towers, whose names mean nothing, are read
    tensors = _renamed(folder, read_weights(folder, "open_clip", weights), layout)
    with errors_in(path):
        config = config_from_open_clip(values, tensors, layout)
        preprocess = preprocess_from_open_clip(values, config.vision.image_size)
        tokenizer = tokenizer_of(values, config, folder)
    return Checkpoint(config, tensors, preprocess, tokenizer, layout)


def _renamed(folder: Path, tensors: dict[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    with errors_in(folder):
        found = find(tensors, (layout,))
        return to_ours({name: tensors[path] for name, path in found.paths.items()} if found else tensors, layout)
