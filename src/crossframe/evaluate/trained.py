"""A checkpoint's knowledge of its own training, where it is measured: words, frames, and clips that it must not be
measured on unmarked."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from crossframe.data.manifest import Manifest
from crossframe.data.seen import marks, seen
from crossframe.inference import Wordings
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import FileData
from crossframe.text.labels import PLACE, read_descriptions, wordings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips to measure, how many of them the model was `trained_on` (None: it does not know), and how many
    were `left_out` because it was."""

    manifest: Manifest
    trained_on: int | None = None
    left_out: int = 0


def clips_for(model: XCLIP, manifest: Manifest, *, chosen: bool) -> Clips:
    """The clips to measure this model on, its own training clips counted.

    Clips that nobody has divided or `chosen` are those that training held out, where it held out any. A linear head has
    its classes in an order of its own, which the manifest then takes over.
    """
    taught = model.taught
    if model.head is not None and taught.labels:
        manifest = replace(manifest, labels=taught.labels)
    if taught.clips is None:
        return Clips(manifest)
    known = seen(marks(manifest), taught.clips)
    count = int(known.sum())
    if chosen or not 0 < count < len(manifest):
        return Clips(manifest, trained_on=count)
    log.warning(
        "only the %d of %d clips are taken that the model was not trained on",
        len(manifest) - count,
        len(manifest),
    )
    kept = [clip for clip, trained in zip(manifest.clips, known.tolist(), strict=True) if not trained]
    return Clips(manifest.keep(kept), trained_on=0, left_out=count)


def warning_of(*summaries: Mapping[str, Any]) -> str | None:
    """The line that marks the numbers of evaluations as none of a test; None where there is nothing to say."""
    trained_on = sum(summary.get("trained_on") or 0 for summary in summaries)
    if not trained_on:
        return None
    clips = sum(summary.get("events", summary["videos"]) for summary in summaries)
    which = "these clips" if trained_on == clips else f"{trained_on:,} of these {clips:,} clips"
    return f"the model was trained on {which}: its accuracy on clips that it never saw will be lower"


def data_as_taught(model: XCLIP, data: FileData, given: Collection[str]) -> FileData:
    """The recipe's data with template and sampling of the model's training, but for the entries that were `given`."""
    taught = model.taught
    if not taught.labels:
        return data
    changes = {
        name: value
        for name, value in (("template", taught.template), ("sampling", taught.sampling))
        if f"data.{name}" not in given and value != getattr(data, name)
    }
    if data.descriptions is not None:
        changes.pop("template", None)
    if changes:
        said = ", ".join(f"{name} {value!r}" for name, value in changes.items())
        log.warning("as in the model's training: %s; --set data.%s= changes that", said, next(iter(changes)))
    return replace(data, **changes)


def words_for(model: XCLIP, labels: tuple[str, ...], data: FileData) -> tuple[Wordings, str | None]:
    """The wordings of the labels and where their descriptions are from, None for labels as they are.

    Descriptions of the model's training are used where the recipe has no words of its own and the labels are the same.
    """
    if data.descriptions is not None:
        return wordings(labels, data.template, read_descriptions(data.descriptions)), data.descriptions
    taught = model.taught
    if taught.descriptions is not None and data.template == PLACE and labels == taught.labels:
        log.warning("as in the model's training: its descriptions of the labels stand in their place")
        return wordings(labels, PLACE, taught.descriptions), "the model's own"
    return wordings(labels, data.template), None
