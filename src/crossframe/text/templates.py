"""Prompt templates: a sentence around a label. The default everywhere is the bare label."""

from __future__ import annotations

from collections.abc import Sequence

from crossframe.text.descriptions import Descriptions, describe

PLACE = "{}"

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
