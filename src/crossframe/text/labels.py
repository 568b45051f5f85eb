"""Labels: checking candidates, splitting "CamelCase", sets of them whose scores mean something, and their sentences.

No label is changed unless asked: papers treat labels differently, and that changes results. In the place of a label
stand prompt templates around it, or descriptions of its own; the default everywhere is the bare label.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from crossframe.text.reading import read_lines, read_values

SHOWN = 3
# Control characters, and those that turn the direction of what follows.
_STEERING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_WHITESPACE = re.compile(r"\s+")
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
# Words that fit many videos a little and none well: they take the share that no label deserves.
GENERIC: tuple[str, ...] = (
    "something else",
    "nothing happens",
    "an empty scene",
    "a picture",
    "a video",
    "a person",
    "an object",
    "a thing",
)


def humanize(label: str) -> str:
    """Split CamelCase and underscores into words: "ApplyEyeMakeup" and "apply_eye_makeup" become "apply eye makeup".

    Words come out in lower case, except acronyms ("TVShow" -> "TV show"). Digits stay with the letters before them
    ("100mHurdles" -> "100m hurdles"): the tokenizer separates them anyway.
    """
    words = [word for part in label.replace("_", " ").split() for word in _camel_words(part)]
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def some(names: Iterable[str]) -> str:
    """The first few names on one line, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    names = list(names)
    return ", ".join(map(escaped, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def escaped(text: str) -> str:
    """A name or label as terminals should show it: characters that would steer one are spelled out.

    >>> escaped("clip\\x1b[2J.mp4")
    'clip\\\\x1b[2J.mp4'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def check_labels(labels: Iterable[str]) -> list[str]:
    """Return the labels as a list, or explain why they cannot be told apart. A column of numpy or pandas is fine.

    Raises:
        ValueError: no labels, an empty one, one that is no str, two that read the same to the model, or a table.
    """
    if isinstance(labels, str | bytes | PathLike):
        what = "path" if isinstance(labels, PathLike) else "single text"
        raise ValueError(f"labels is the {what} {labels!r}: give a list of labels")
    if isinstance(labels, Mapping) or hasattr(labels, "columns"):  # a data frame would give the names of its columns
        raise ValueError(f"labels is a table, of type {type(labels).__name__}: give a list, or one of its columns")
    labels = getattr(labels, "to_pylist", lambda: labels)()  # a column of pyarrow
    labels = [] if labels is None else [_decoded(label) for label in labels]  # pyright: ignore[reportUnnecessaryComparison]
    if not labels:
        raise ValueError("there are no labels: give at least one thing the video may show")
    seen: dict[str, int] = {}
    for position, label in enumerate(labels, start=1):
        if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is checked
            raise ValueError(f"label {position} is {label!r}, of type {type(label).__name__}: labels must be str")
        key = normalized(label)
        if not key:
            raise ValueError(f"label {position} of {len(labels)} is empty: remove it or fill it in")
        if key in seen:
            first = labels[seen[key] - 1]
            raise ValueError(
                f"labels {seen[key]} and {position} read the same, {first!r} and {label!r}: remove one of them"
            )
        seen[key] = position
    return [str(label) for label in labels]  # numpy's texts are a kind of str


def _decoded(label: str) -> str:
    """A label of numpy's bytes as text."""
    try:
        return label.decode() if isinstance(label, bytes) else label
    except UnicodeDecodeError:
        raise ValueError(f"the label {label!r} is not UTF-8: decode it") from None


def _camel_words(text: str) -> Iterator[str]:
    start = 0
    for index in range(1, len(text)):
        if _starts_word(text, index):
            yield text[start:index]
            start = index
    yield text[start:]


def _starts_word(text: str, index: int) -> bool:
    """A capital starts a word after a small letter or a digit, or as the last capital of a run before small letters."""
    if not text[index].isupper():
        return False
    before, after = text[index - 1], text[index + 1 : index + 3]
    # Two small letters, so that the plural of an acronym ("DJs") stays whole.
    return before.islower() or before.isdigit() or (before.isupper() and len(after) == 2 and after.islower())


def clean(text: str) -> str:
    """Repair, unescape, trim and lower-case `text`, in the order CLIP was trained with.

    `ftfy` repairs mojibake, ligatures, full-width letters, curly quotes, lone surrogates and control characters.
    Entities are then unescaped twice, because text from the web is often escaped twice ("&amp;amp;").
    """
    import ftfy  # takes a while

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _WHITESPACE.sub(" ", text.strip()).lower()


@lru_cache(maxsize=1 << 14)  # the same labels are checked again with every video
def normalized(label: str) -> str:
    """A label as the model reads it: the model cannot tell labels apart that are equal here."""
    return clean(label)


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that compete: one of them is true, or none. Those that are `independent` may be true together."""

    name: str
    labels: tuple[str, ...]
    independent: bool = False


@dataclass(frozen=True)
class LabelSet:
    """Groups of labels. `wordings`: sentences that stand for a label, whose features are averaged; `thresholds`: the
    score from which a label counts; `background`: words that take part in every softmax and are never an answer.

    Raises ValueError for a label in two groups, thresholds and wordings of labels that are not there, thresholds
    outside 0 to 1, and a background that is also a label.
    """

    groups: tuple[Group, ...]
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    thresholds: Mapping[str, float] = field(default_factory=dict[str, float])
    background: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        placed: dict[str, Group] = {}
        for group in self.groups:
            for label in group.labels:
                other = placed.setdefault(normalized(label), group)
                if other is not group:
                    raise ValueError(f"{label!r} is in two groups, {other.name!r} and {group.name!r}: keep one of them")
        check_labels(self.labels)
        for what, given in (("a threshold", self.thresholds), ("wordings", self.wordings)):
            if unknown := next((label for label in given if label not in self.labels), None):
                raise ValueError(f"{unknown!r} has {what} and is not among the labels: add it, or correct its name")
        for label, value in self.thresholds.items():
            if not 0 <= value <= 1:
                raise ValueError(f"the threshold of {label!r} is {value}: give one from 0 to 1")
        if both := next((text for text in self.background if normalized(text) in placed), None):
            raise ValueError(f"{both!r} is a label and in the background: remove one of them")

    @classmethod
    def of(
        cls, labels: Sequence[str], background: str | Sequence[str] = (), threshold: float | None = None
    ) -> LabelSet:
        """Labels in one group, of which one is true or none, all with the same threshold.

        `background`: words, or "generic" for those of `GENERIC`.
        """
        names = tuple(check_labels(labels))
        thresholds = {} if threshold is None else dict.fromkeys(names, float(threshold))
        return cls((Group("", names),), thresholds=thresholds, background=background_texts(background))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All labels, group after group."""
        return tuple(label for group in self.groups for label in group.labels)

    def to_dict(self) -> dict[str, object]:
        """All but the labels, ready for JSON beside a result; empty for labels in one group alone."""
        found: dict[str, object] = {}
        if self.group_names:
            found["groups"] = {group.name: "independent" if group.independent else "softmax" for group in self.groups}
        for name in ("wordings", "thresholds", "background"):
            if value := getattr(self, name):
                found[name] = list(value) if name == "background" else dict(value)
        return found

    @property
    def group_names(self) -> tuple[str, ...]:
        """The name of each label's group; none where there is one group without a name."""
        if [group.name for group in self.groups] == [""]:
            return ()
        return tuple(group.name for group in self.groups for _ in group.labels)


def background_texts(given: str | Sequence[str]) -> tuple[str, ...]:
    """The words that are meant: "generic" stands for those of `GENERIC`, any other text for itself."""
    texts = [given] if isinstance(given, str) else list(given)
    return tuple(dict.fromkeys(text for one in texts for text in (GENERIC if one == "generic" else (one,))))


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
    """Read a sentence, or a list of sentences, for each label: a JSON object, or the same as YAML.

    Rephrased class names, as published with FROSTER and TC-CLIP, are sentences that begin with the label and a colon,
    by number: `{"0": "Typing: someone types ..."}`, or lines `0. Typing: someone types ...` of a .txt file. They are
    taken whole, as those models read them.

    Raises ValueError, naming the file and the label, for anything else, for empty sentences and for lists of none.
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        lines = [(f"line {number}", re.sub(r"^\d+\s*[.:)]\s*", "", line)) for number, line in read_lines(path)]
        return _rephrased(path, lines)
    values = read_values(path)
    if not isinstance(values, dict) or not values:
        raise ValueError(f'{path} must be a JSON object: {{"label": ["sentence", ...], ...}}')
    if all(number.isdecimal() for number in values):
        return _rephrased(path, [(f"id {number}", given) for number, given in values.items()])
    return {label: _sentences(given, label, path) for label, given in values.items()}


def describe(labels: Sequence[str], descriptions: Descriptions) -> list[tuple[str, ...]]:
    """The sentences of each label. Labels match as the model reads them, whatever their case and spacing.

    Raises ValueError for the first label that has none.
    """
    given = {label: (said,) if isinstance(said, str) else tuple(said) for label, said in descriptions.items()}
    # "Brush hair" describes brush_hair and BrushHair too, unless these have sentences of their own
    known = {_words(label): said for label, said in given.items()} | {normalized(k): said for k, said in given.items()}
    found = [known.get(normalized(label)) or known.get(_words(label)) for label in labels]
    for label, said in zip(labels, found, strict=True):
        if not said:
            near = get_close_matches(label, list(descriptions), n=1)
            guess = f", while {near[0]!r} has one" if near else ""
            raise ValueError(f"the label {label!r} has no description{guess}; add one for it")
    return [said for said in found if said]


def _words(label: str) -> str:
    return normalized(humanize(label))


def _rephrased(path: Path, entries: Sequence[tuple[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The sentences by the labels that they begin with."""
    said: dict[str, tuple[str, ...]] = {}
    for where, sentence in entries:
        label, colon, rest = sentence.partition(":") if isinstance(sentence, str) else ("", "", "")
        label = label.strip()
        if not (colon and label and rest.strip()):
            raise ValueError(f"{path}, {where}: {sentence!r} does not begin with its label and a colon; name the label")
        if label in said:
            raise ValueError(f"{path}, {where}: {label!r} has a sentence already; remove one, or give a list")
        said[label] = (sentence.strip(),)
    if not said:
        raise ValueError(f"{path} holds no descriptions: write one a line, label: sentence")
    return said


def _sentences(given: Any, label: str, path: Path) -> tuple[str, ...]:
    sentences = [given] if isinstance(given, str) else given
    if not isinstance(sentences, list) or not sentences:
        raise ValueError(f"{path}: the description of {label!r} is {json.dumps(given)}; give a list of sentences")
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise ValueError(f"{path}: a description of {label!r} is {json.dumps(sentence)}; give a sentence")
    return tuple(sentences)
