"""Clips that a person should look at: a list, or what Label Studio or FiftyOne reads, with the guess filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossframe.archive.hits import Hit, write_list
from crossframe.data.labeling import CHOICES, check_tasks, write_tasks
from crossframe.files import check_unused, write_json
from crossframe.video.exact import open_video
from crossframe.video.given import VideoError, address_of

FORMS = (".csv", ".parquet", ".json")
FIFTYONE = "fiftyone.json"
FIELDS = {
    "guess": "EmbeddedDocumentField(fiftyone.core.labels.Classification)",
    "ground_truth": "EmbeddedDocumentField(fiftyone.core.labels.Classification)",
    "part": "EmbeddedDocumentField(fiftyone.core.labels.TemporalDetection)",
    "doubt": "FloatField",
    "start": "FloatField",
    "end": "FloatField",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A clip, the label that a classifier guesses for it, with its probability, and the label that it has, if any.

    `doubt` says how much a person is needed: by how little the guess leads, or how much speaks against the label.
    """

    hit: Hit
    guess: str
    probability: float
    doubt: float
    label: str | None = None


def write_suggestions(path: Path, suggestions: Sequence[Suggestion], labels: Sequence[str], weights: str) -> None:
    """Write a list with the guesses as labels (.csv, .parquet), a data set of FiftyOne (`FIFTYONE` at the end of the
    name), or tasks of Label Studio (any other .json).

    Beside the tasks, an .xml of the same name is the labeling setup: a video and these labels to choose from.
    """
    check_form(path)
    if path.suffix.lower() != ".json":
        write_list(path, [replace(each.hit, label=each.guess) for each in suggestions], None)
        return
    if not _are_tasks(path):
        write_json(path, _data_set(path, suggestions, labels, weights))
        return
    write_tasks(path, [_task(each, weights) for each in suggestions], CHOICES, labels)


def check_form(path: Path) -> None:
    """Raise ValueError where nothing can be written to a file of this name."""
    if path.suffix.lower() not in FORMS:
        raise ValueError(f"{path} is neither a list nor tasks; let its name end in {', '.join(FORMS)} or {FIFTYONE}")


def check_free(path: Path) -> None:
    """Raise ValueError where suggestions would be written over a file that is there."""
    if _are_tasks(path):
        check_tasks(path)
    else:
        check_unused(path)


def _are_tasks(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(".json") and not name.endswith(FIFTYONE)


def _task(suggestion: Suggestion, weights: str) -> dict[str, object]:
    hit = suggestion.hit
    times = {name: at for name, at in (("start", hit.start), ("end", hit.end)) if at is not None}
    result = {
        "from_name": CHOICES,
        "to_name": "video",
        "type": "choices",
        "value": {"choices": [suggestion.guess]},
    }
    guess = {"model_version": f"crossframe {weights[:12]}", "score": suggestion.probability, "result": [result]}
    has = {} if suggestion.label is None else {"label": suggestion.label}
    return {"data": {"video": hit.source, "source": hit.source, **times, **has}, "predictions": [guess]}


def _data_set(path: Path, suggestions: Sequence[Suggestion], labels: Sequence[str], weights: str) -> dict[str, object]:
    """Data for `fiftyone.Dataset.from_json`: a sample for each clip, which it numbers and dates itself."""
    return {
        "name": path.name.lower().removesuffix(FIFTYONE).rstrip(".-_ ") or "suggested",
        "media_type": "video",
        "info": {"made_by": f"crossframe {weights[:12]}"},
        "default_classes": list(labels),
        "sample_fields": {name: f"fiftyone.core.fields.{kind}" for name, kind in FIELDS.items()},
        "samples": [_sample(each) for each in suggestions],
    }


def _sample(suggestion: Suggestion) -> dict[str, object]:
    hit = suggestion.hit
    guess = {"_cls": "Classification", "label": suggestion.guess, "confidence": suggestion.probability}
    sample: dict[str, object] = {"filepath": hit.source, "guess": guess, "doubt": suggestion.doubt}
    if suggestion.label is not None:
        sample["ground_truth"] = {"_cls": "Classification", "label": suggestion.label}
    if hit.start is None and hit.end is None:
        return sample
    sample |= {"start": hit.start, "end": hit.end}
    if frames := _frames_of(hit):
        sample["part"] = {**guess, "_cls": "TemporalDetection", "support": list(frames)}
    return sample


def _frames_of(hit: Hit) -> tuple[int, int] | None:
    """The first and the last frame of a part, counted from 1, as FiftyOne does; None where the file does not tell."""
    if address_of(hit.source):  # asking for it would fetch the whole video
        return None
    try:
        with open_video(hit.source) as video:
            first, last = video.frame_range(hit.start, hit.end)
    except VideoError:
        return None
    return first + 1, last
