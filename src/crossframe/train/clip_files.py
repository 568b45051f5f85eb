"""The clips and labels of a recipe that trains on files, checked before anything is decoded."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from crossframe.data.clip import check_apart
from crossframe.data.layouts import split_named
from crossframe.data.manifest import Manifest, read_manifest
from crossframe.data.split import few_shot
from crossframe.recipes.schema import FileData, Recipe
from crossframe.text.labels import some
from crossframe.text.templates import read_descriptions, wordings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """Clips to train on, clips to test on, if there are any, and all wordings of each label."""

    train: Manifest
    test: Manifest | None
    wordings: tuple[tuple[str, ...], ...]


def read_clip_files(recipe: Recipe) -> ClipFiles | None:
    """The manifests of a recipe, checked; None where its clips are generated. No clip is decoded."""
    data = recipe.data
    if not isinstance(data, FileData):
        return None
    if data.source is None:
        raise ValueError(f"recipe '{recipe.name}' needs clips: give a manifest or a folder as data")
    splits = {clip.split for clip in read_manifest(data.source, None, data.labels, data.root).clips}
    undivided = splits == {""} and data.train_split == FileData.model_fields["train_split"].default
    split = None if undivided else data.train_split
    train = read_manifest(data.source, split, data.labels, data.root).require_every_class()
    if len(train.labels) < 2:
        raise ValueError(f"{data.source} has clips of one class, '{some(train.labels)}'; give those of two or more")
    if data.classes is not None and len(train.labels) != data.classes:
        raise ValueError(
            f"{data.source} has {len(train.labels)} classes, and recipe '{recipe.name}' is for {data.classes}; give "
            f"all of them with --set data.labels=FILE, or change that with --set data.classes={len(train.labels)}"
        )
    test = None
    if split_named(data.test_split) in splits:
        test = read_manifest(data.source, data.test_split, train.labels, data.root)
        if shared := check_apart(clip for part in (train, test) for clip in part.clips):
            log.warning("%s: %s", data.source, shared)
    elif split is not None:
        log.warning("%s has no split '%s', and so nothing is tested", data.source, data.test_split)
    if data.shots is not None:
        train = few_shot(train, data.shots, data.draw)
    descriptions = None if data.descriptions is None else read_descriptions(data.descriptions)
    return ClipFiles(train, test, tuple(wordings(train.labels, data.template, descriptions)))
