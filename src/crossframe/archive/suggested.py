"""Clips that a person should look at, as a list, or as tasks of Label Studio with the model's guess filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from crossframe.archive.hits import Hit, write_list
from crossframe.files import write_json, write_text

FORMS = (".csv", ".parquet", ".json")


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
    """Write a list with the guesses as labels (.csv, .parquet), or tasks of Label Studio (.json).

    Beside the tasks, an .xml of the same name is the labeling setup: a video and these labels to choose from.
    """
    check_form(path)
    if path.suffix.lower() != ".json":
        write_list(path, [replace(each.hit, label=each.guess) for each in suggestions], None)
        return
    write_json(path, [_task(each, weights) for each in suggestions])
    choices = "".join(f'    <Choice value="{escape(label)}"/>\n' for label in labels)
    setup = f"""<View>
  <Video name="video" value="$video"/>
  <Choices name="label" toName="video" choice="single" showInline="true">
{choices}  </Choices>
</View>
"""
    write_text(path.with_suffix(".xml"), setup)


def check_form(path: Path) -> None:
    """Raise ValueError where nothing can be written to a file of this name."""
    if path.suffix.lower() not in FORMS:
        raise ValueError(
            f"{path} is neither a list nor tasks; let its name end in {', '.join(FORMS[:-1])} or {FORMS[-1]}"
        )


def _task(suggestion: Suggestion, weights: str) -> dict[str, object]:
    hit = suggestion.hit
    times = {name: at for name, at in (("start", hit.start), ("end", hit.end)) if at is not None}
    result = {
        "from_name": "label",
        "to_name": "video",
        "type": "choices",
        "value": {"choices": [suggestion.guess]},
    }
    guess = {"model_version": f"crossframe {weights[:12]}", "score": suggestion.probability, "result": [result]}
    has = {} if suggestion.label is None else {"label": suggestion.label}
    return {"data": {"video": hit.source, "source": hit.source, **times, **has}, "predictions": [guess]}
