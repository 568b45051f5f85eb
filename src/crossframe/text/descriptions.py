"""Class descriptions: one or several sentences for each label, used in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from crossframe.text.files import read_text
from crossframe.text.labels import normalized

Descriptions = Mapping[str, str | Sequence[str]]


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
