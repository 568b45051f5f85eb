"""Labels with what makes their scores mean something: groups, wordings, thresholds, and words for everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from crossframe.text.labels import check_labels, normalized

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
