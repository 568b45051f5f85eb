"""Published weights by name, with the facts known about each. Importing this does not import torch."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from crossframe.weights.errors import WeightsError

FILES = (".bin", ".ckpt", ".pt", ".pth", ".safetensors")  # what is called so is no model of the hub
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")

LAST, BEST = "last", "best"  # the checkpoints in the folder of a run


@dataclass(frozen=True, slots=True)
class Source:
    """A published model.

    `name` is what `load` takes; for `kind` "file", it is a file to be downloaded first. `data`: what it was trained on
    after CLIP, or after images and texts. `accuracy`: in %, top-1 / top-5 as the paper reports it under `protocol`, or
    what `protocol` says; None where no number for exactly this model is at hand.
    """

    name: str
    kind: str
    variant: str
    frames: int
    data: str
    accuracy: str | None
    protocol: str | None
    license: str


PLAIN_CLIP = "plain CLIP"  # as `data`: nothing after CLIP
IMAGES_AND_TEXTS = "images and texts alone"  # of another family

_VIEWS = "4 x 3 views"
_ONE = "1 view"
_ZERO_SHOT = "zero-shot, 1 view"

# The hub's name, the authors' release file (None for their large models), variant, frames, data, accuracy, views.
_XCLIP = (
    ("base-patch32", "k400_32_8.pth", "B/32", 8, "Kinetics-400", "80.4 / 95.0", _VIEWS),
    ("base-patch32-16-frames", "k400_32_16.pth", "B/32", 16, "Kinetics-400", "81.1 / 95.5", _VIEWS),
    ("base-patch16", "k400_16_8.pth", "B/16", 8, "Kinetics-400", "83.8 / 96.7", _VIEWS),
    ("base-patch16-16-frames", "k400_16_16.pth", "B/16", 16, "Kinetics-400", "84.7 / 96.8", _VIEWS),
    ("large-patch14", None, "L/14", 8, "Kinetics-400", "87.1 / 97.6", _VIEWS),
    ("large-patch14-16-frames", None, "L/14@336", 16, "Kinetics-400", "87.7 / 97.4", _VIEWS),
    ("base-patch16-kinetics-600", "k600_16_8.pth", "B/16", 8, "Kinetics-600", "85.3 / 97.1", _VIEWS),
    ("base-patch16-kinetics-600-16-frames", "k600_16_16.pth", "B/16", 16, "Kinetics-600", "85.8 / 97.3", _VIEWS),
    ("large-patch14-kinetics-600", None, "L/14", 8, "Kinetics-600", "88.3 / 97.7", _VIEWS),
    ("base-patch16-hmdb-2-shot", "few_hmdb_2.pth", "B/16", 32, "HMDB-51, 2 clips a class", "53.0", _ONE),
    ("base-patch16-hmdb-4-shot", "few_hmdb_4.pth", "B/16", 32, "HMDB-51, 4 clips a class", "57.3", _ONE),
    ("base-patch16-hmdb-8-shot", "few_hmdb_8.pth", "B/16", 32, "HMDB-51, 8 clips a class", "62.8", _ONE),
    ("base-patch16-hmdb-16-shot", "few_hmdb_16.pth", "B/16", 32, "HMDB-51, 16 clips a class", "64.0", _ONE),
    ("base-patch16-ucf-2-shot", "few_ucf_2.pth", "B/16", 32, "UCF-101, 2 clips a class", "76.4", _ONE),
    ("base-patch16-ucf-4-shot", "few_ucf_4.pth", "B/16", 32, "UCF-101, 4 clips a class", "83.4", _ONE),
    ("base-patch16-ucf-8-shot", "few_ucf_8.pth", "B/16", 32, "UCF-101, 8 clips a class", "88.3", _ONE),
    ("base-patch16-ucf-16-shot", "few_ucf_16.pth", "B/16", 32, "UCF-101, 16 clips a class", "91.4", _ONE),
    ("base-patch16-zero-shot", "zero.pth", "B/16", 32, "Kinetics-400", "UCF 72.0, HMDB 44.6, K600 65.2", _ZERO_SHOT),
)
# The hub's name, OpenAI's file, variant.
_CLIP = (
    ("clip-vit-base-patch32", "ViT-B-32.pt", "B/32"),
    ("clip-vit-base-patch16", "ViT-B-16.pt", "B/16"),
    ("clip-vit-large-patch14", "ViT-L-14.pt", "L/14"),
    ("clip-vit-large-patch14-336", "ViT-L-14-336px.pt", "L/14@336"),
)

_PE = "zero-shot ImageNet, and Kinetics-400 by the mean of frames: Meta's perception_models, apps/pe"
_OPEN_CLIP = "zero-shot ImageNet: open_clip, docs/openclip_results.csv"
# Families other than CLIP: the name, its kind, what people call it, accuracy, its protocol and source, license.
_FAMILIES = (
    ("PE-Core-B16-224.pt", "file", "PE-Core B/16", "78.4, 65.6", _PE, "Apache-2.0"),
    ("PE-Core-L14-336.pt", "file", "PE-Core L/14@336", "83.5, 73.4", _PE, "Apache-2.0"),
    ("PE-Core-G14-448.pt", "file", "PE-Core G/14@448", "85.4, 76.9", _PE, "Apache-2.0"),
    ("timm/ViT-B-16-SigLIP", "hub", "SigLIP B/16", None, None, "Apache-2.0"),
    ("timm/ViT-SO400M-14-SigLIP-384", "hub", "SigLIP So400m/14@384", None, None, "Apache-2.0"),
    ("timm/ViT-B-16-SigLIP2", "hub", "SigLIP 2 B/16", None, None, "Apache-2.0"),
    ("timm/ViT-SO400M-16-SigLIP2-384", "hub", "SigLIP 2 So400m/16@384", None, None, "Apache-2.0"),
    ("timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k", "hub", "EVA-02 B/16", "74.7", _OPEN_CLIP, "MIT"),
    ("timm/eva02_large_patch14_clip_336.merged2b_s6b_b61k", "hub", "EVA-02 L/14@336", "80.4", _OPEN_CLIP, "MIT"),
    ("timm/MobileCLIP2-B-OpenCLIP", "hub", "MobileCLIP2-B", None, None, "see its page"),
    ("facebook/metaclip-2-worldwide-b16", "hub", "MetaCLIP 2 B/16", None, None, "see its page"),
    ("facebook/metaclip-b16-fullcc2.5b", "hub", "MetaCLIP 1 B/16", None, None, "CC-BY-NC-4.0"),
    ("google/tipsv2-b14", "hub", "TIPSv2 B/14", None, None, "Apache-2.0"),
    ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "hub", "OpenCLIP H/14", "78.0", _OPEN_CLIP, "MIT"),
    ("apple/DFN5B-CLIP-ViT-H-14-378", "hub", "DFN H/14@378", None, None, "apple-amlr"),
)


def _known() -> tuple[Source, ...]:
    on_hub = [Source("shapes", "bundled", "tiny", 8, "drawn shapes", None, None, "MIT")]
    files: list[Source] = []
    for name, file, variant, frames, data, accuracy, views in _XCLIP:
        on_hub.append(Source(f"microsoft/xclip-{name}", "hub", variant, frames, data, accuracy, views, "MIT"))
        if file is not None:
            files.append(Source(file, "file", variant, frames, data, accuracy, views, "MIT"))
    for name, file, variant in _CLIP:
        on_hub.append(Source(f"openai/{name}", "hub", variant, 8, PLAIN_CLIP, None, None, "MIT"))
        files.append(Source(file, "file", variant, 8, PLAIN_CLIP, None, None, "MIT"))
    for name, kind, variant, accuracy, protocol, license in _FAMILIES:
        found = on_hub if kind == "hub" else files
        found.append(Source(name, kind, variant, 8, IMAGES_AND_TEXTS, accuracy, protocol, license))
    return (*on_hub, *files)


_SOURCES = _known()


def list_models() -> tuple[Source, ...]:
    """The models known by name. `load` also takes others of the same layouts."""
    return _SOURCES


def close_matches(name: str) -> str:
    """A suffix for an error about an unknown name: what it stands for, similar names, or where to find all."""
    kinds = {source.name: source.kind for source in _SOURCES}
    if kinds.get(name) == "file":
        return "; that is a file of the authors: download it and give its path"
    if name in kinds:
        return "; a path was given where the name of a model is a str"
    names = list(kinds)
    by_ending = {full.rpartition("/")[2]: full for full in names}
    found = difflib.get_close_matches(name.partition("@")[0], names, n=3)
    found += [by_ending[end] for end in difflib.get_close_matches(name.rpartition("/")[2], by_ending, n=3)]
    if not found:
        return "; `crossframe models` lists the known ones"
    return f"; did you mean {' or '.join(list(dict.fromkeys(found))[:3])}?"


def is_hub_id(source: str) -> bool:
    """True if `source` looks like `owner/name`, with or without `@revision`."""
    return _ID.fullmatch(source.partition("@")[0]) is not None


def check_source(source: str | Path) -> None:
    """Raise `WeightsError` for what cannot be a source of `load`, without reading anything."""
    path, _ = place_in(source)
    on_hub = isinstance(source, str) and is_hub_id(source) and path.suffix.lower() not in FILES
    if not (source == "shapes" or path.is_dir() or path.is_file() or on_hub):
        raise WeightsError(
            f"'{source}' is no file, no folder and no model of the hub (owner/name){close_matches(str(source))}"
        )


def is_local(source: str | Path) -> bool:
    """True if `load` reads this by its path; "shapes" is the bundled model, also beside a folder of that name."""
    return source != "shapes" and place_in(source)[0].exists()


def place_in(source: str | Path) -> tuple[Path, str | None]:
    """The file, and the place in it that stands behind a # in the name."""
    path = Path(source).expanduser()
    before, mark, place = str(path).rpartition("#")
    return (Path(before), place) if mark and place and not path.exists() and Path(before).is_file() else (path, None)
