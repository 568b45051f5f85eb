"""Sentences in the place of a label: prompt templates around it, or descriptions of its own.

The default everywhere is the bare label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crossframe.text.labels import normalized
from crossframe.text.reading import read_text

PLACE = "{}"

Descriptions = Mapping[str, str | Sequence[str]]

# The ensemble in the paper's ablation of prompts has sixteen templates for actions too; these are our own words.
ENSEMBLE: tuple[str, ...] = (
    "{}",
    "a video of {}",
    "a short clip that shows {}",
    "footage of someone {}",
    "a person is {}",
    "people are {}",
    "somebody can be seen {}",
    "this is what {} looks like",
    "a recording of {}, filmed by hand",
    "the activity in this video is {}",
    "an example of {}",
    "several frames of {}, one after another",
    "watch how {} is done",
    "in this scene, {} takes place",
    "a close view of {}",
    "{}, seen from a distance",
)


def templates(asked: str) -> tuple[str, ...]:
    """The templates that a setting asks for: "ensemble" for all of `ENSEMBLE`, otherwise the one that it is.

    Raises ValueError where that is no template.
    """
    if asked == "ensemble":
        return ENSEMBLE
    fill(asked, ())
    return (asked,)


def wordings(
    labels: Sequence[str], template: str | Sequence[str] = PLACE, descriptions: Descriptions | None = None
) -> list[tuple[str, ...]]:
    """All texts of each label: its descriptions, or else the label in each template ("ensemble" for all sixteen).

    >>> wordings(["yoga", "golf"], ["{}", "a video of {}"])
    [('yoga', 'a video of yoga'), ('golf', 'a video of golf')]

    Raises ValueError for what is no template, a label without a description, and a template beside descriptions.
    """
    if descriptions is not None:
        if template != PLACE:
            raise ValueError(f"descriptions are sentences and take no template; leave {template!r} out")
        return describe(labels, descriptions)
    asked = templates(template) if isinstance(template, str) else tuple(template)
    return list(zip(*(fill(one, labels) for one in asked), strict=True))


def fill(template: str, labels: Sequence[str]) -> list[str]:
    """Put each label in the place of `{}`: `fill("a video of {}", ["yoga"])` gives `["a video of yoga"]`.

    Raises:
        ValueError: the template does not contain `{}` exactly once, or `labels` is a single str.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels is the single text {labels!r}: give a list of labels")
    if template.count(PLACE) != 1:
        raise ValueError(
            f"the template {template!r} contains {PLACE} {template.count(PLACE)} times: "
            f"it must mark the place of the label exactly once"
        )
    before, after = template.split(PLACE)
    return [before + label + after for label in labels]


def read_descriptions(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a JSON object with a sentence, or a list of sentences, for each label.

    Raises ValueError, naming the file and the label, for anything else, for empty sentences and for lists of none.
    """
    path = Path(path)
    text = read_text(path)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or not values:
        raise ValueError(f'{path} must be a JSON object: {{"label": ["sentence", ...], ...}}')
    return {label: _sentences(given, label, path) for label, given in values.items()}


def describe(labels: Sequence[str], descriptions: Descriptions) -> list[tuple[str, ...]]:
    """The sentences of each label. Labels match as the model reads them, whatever their case and spacing.

    Raises ValueError for the first label that has none.
    """
    known = {
        normalized(label): (said,) if isinstance(said, str) else tuple(said) for label, said in descriptions.items()
    }
    for label in labels:
        if not known.get(normalized(label)):
            near = get_close_matches(label, list(descriptions), n=1)
            guess = f", while {near[0]!r} has one" if near else ""
            raise ValueError(f"the label {label!r} has no description{guess}; add one for it")
    return [known[normalized(label)] for label in labels]


def _sentences(given: Any, label: str, path: Path) -> tuple[str, ...]:
    sentences = [given] if isinstance(given, str) else given
    if not isinstance(sentences, list) or not sentences:
        raise ValueError(f"{path}: the description of {label!r} is {json.dumps(given)}; give a list of sentences")
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise ValueError(f"{path}: a description of {label!r} is {json.dumps(sentence)}; give a sentence")
    return tuple(sentences)
