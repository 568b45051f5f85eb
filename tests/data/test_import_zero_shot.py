"""Classes new to a data set, on real names of Kinetics-400 and -600."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from crossframe.data.zero_shot import match_classes, new_classes, read_renamed

OLD = [
    *("abseiling", "baby waking up", "changing wheel", "drinking", "dying hair", "garbage collecting", "hugging"),
    *("making bed", "opening bottle", "passing American football (not in game)", "tying tie"),
]
NEW = [
    *(
        "abseiling",
        "changing wheel (not on bike)",
        "dyeing hair",
        "hugging (not baby)",
        "hugging baby",
        "making the bed",
    ),
    *("opening bottle (not wine)", "opening wine bottle", "passing american football (not in game)"),
    *("person collecting garbage", "tying necktie", "waking up", "yarn spinning"),
]


def test_the_callers_table_has_the_last_word_where_the_name_exists_too() -> None:
    matches = match_classes(["hugging", "hugging baby"], ["hugging"], {"hugging": "hugging baby"})
    assert [(match.old, match.reason) for match in matches] == [("hugging baby", "renamed")]


def test_every_class_says_how_it_was_matched() -> None:
    matches = {match.label: match for match in match_classes(OLD, NEW)}
    assert list(matches) == NEW
    assert {label: (match.old, match.reason) for label, match in matches.items() if match.old} == {
        "abseiling": ("abseiling", "same"),
        "changing wheel (not on bike)": ("changing wheel", "qualifier"),
        "hugging (not baby)": ("hugging", "qualifier"),
        "making the bed": ("making bed", "spelling"),
        "opening bottle (not wine)": ("opening bottle", "qualifier"),
        "passing american football (not in game)": ("passing American football (not in game)", "spelling"),
    }
    assert matches["dyeing hair"].alike == ("dying hair",)
    assert matches["person collecting garbage"].alike == ("garbage collecting",)
    assert matches["waking up"].alike == ("baby waking up",)
    assert matches["yarn spinning"].alike == ()


def test_the_caller_has_the_last_word() -> None:
    renamed = {"dyeing hair": "dying hair", "tying necktie": "tying tie"}
    assert new_classes(match_classes(OLD, NEW, renamed)) == [
        *("hugging baby", "opening wine bottle", "person collecting garbage", "waking up", "yarn spinning")
    ]
    with pytest.raises(ValueError, match="'yodeling', renamed from 'drinking': one of them is in neither list"):
        match_classes(OLD, NEW, {"yodeling": "drinking"})


def test_the_table_in_the_docs_leaves_the_papers_220_classes(golden: Path, tmp_path: Path) -> None:
    labels = json.loads((golden / "tokens.json").read_text(encoding="utf-8"))["labels"]
    old, new = (labels[f"kinetics_{size}_labels.csv"]["names"] for size in (400, 600))
    plain = match_classes(old, new)
    assert Counter(match.reason for match in plain) == {"same": 368, "qualifier": 5, "spelling": 2, "new": 225}
    page = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```csv\n(.*?)^```$", page, flags=re.M | re.S)
    (tmp_path / "renamed.csv").write_text(table)
    found = new_classes(match_classes(old, new, read_renamed(tmp_path / "renamed.csv")))
    assert len(found) == 220
    assert {"hugging baby", "opening wine bottle", "yarn spinning"} < set(found)
    assert not {"dyeing hair", "tying necktie", "waking up"} & set(found)


def test_a_class_that_could_be_two_is_matched_with_neither() -> None:
    old = ["passing ball (in game)", "passing ball (not in game)"]
    (match,) = match_classes(old, ["passing ball"])
    assert match.old is None
    assert set(match.alike) == set(old)


def test_lists_that_repeat_a_label_are_refused() -> None:
    with pytest.raises(ValueError, match="read the same"):
        match_classes(["a", "A"], ["b"])
