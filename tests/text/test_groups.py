"""Files of labels with groups, wordings and thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.text import GENERIC, read_label_set, read_labels

EXAMPLE = Path(__file__).parents[2] / "examples" / "at-home.yaml"


def test_the_example_has_all_that_a_file_may_say() -> None:
    found = read_label_set(EXAMPLE)
    assert [(group.name, group.independent) for group in found.groups] == [
        ("safety", True),
        ("sport", False),
        ("household", False),
    ]
    assert found.background == GENERIC
    assert (found.thresholds["fire or smoke"], found.thresholds["yoga"]) == (0.8, 0.4)
    assert found.wordings["making coffee"] == ("a person pours coffee into a cup",)
    assert read_labels(EXAMPLE) == list(found.labels)


def test_other_files_of_labels_are_one_group(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("golf\nyoga\n")
    found = read_label_set(path)
    assert (found.labels, found.group_names, found.to_dict()) == (("golf", "yoga"), (), {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": {"a": {"labels": ["x"]}, "b": {"labels": ["x"]}}}, "'x' is in two groups, 'a' and 'b'"),
        ({"groups": {"a": {"labels": ["x"], "thresholds": {"y": 0.5}}}}, "group 'a': 'y' has a threshold and is not"),
        ({"groups": {"a": {"labels": ["x"], "threshold": "high"}}}, "the threshold 'high' is no number"),
        ({"groups": {"a": {"labels": ["x"], "threshold": 3}}}, "the threshold of 'x' is 3.0: give one from 0 to 1"),
        ({"groups": {"a": {"labels": ["x"], "scores": "both"}}}, "scores is 'both': write softmax"),
        ({"groups": {"a": {"labels": []}}}, "group 'a': has no labels"),
        ({"groups": {"a": {"label": ["x"], "labels": ["y"]}}}, "group 'a': 'label' is unknown"),
        ({"groups": {"a": {"labels": {"x": ["", "b"]}}}}, "are no sentences"),
        ({"groups": {"a": {"labels": ["x"]}}, "fallback": []}, "'fallback' is unknown: it may have groups, background"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(given))
    with pytest.raises(ValueError, match=message) as caught:
        read_label_set(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
