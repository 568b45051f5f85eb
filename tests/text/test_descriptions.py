"""Sentences in the place of class names: read from JSON, matched to labels, refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.text import read_descriptions
from crossframe.text.descriptions import describe
from crossframe.text.templates import wordings

SAID = {"yoga": ["a person stretches on a mat", "slow poses"], "Tai  Chi": "slow flowing movements"}


def test_a_file_gives_sentences_for_each_label(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    path.write_text("\ufeff" + json.dumps(SAID), encoding="utf-8")
    said = read_descriptions(path)
    assert said == {"yoga": ("a person stretches on a mat", "slow poses"), "Tai  Chi": ("slow flowing movements",)}
    assert describe(["tai chi", "Yoga"], said) == [said["Tai  Chi"], said["yoga"]]
    assert wordings(["yoga"], descriptions=said) == [said["yoga"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "must be a JSON object"),
        ('{"yoga": 3}', "the description of 'yoga' is 3; give a list of sentences"),
        ('{"yoga": []}', r"the description of 'yoga' is \[\]; give a list of sentences"),
        ('{"yoga": ["poses", " "]}', "a description of 'yoga' is \" \"; give a sentence"),
    ],
)
def test_other_files_are_refused_in_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_descriptions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"cannot read .*; check the path"):
        read_descriptions(tmp_path / "missing.json")


def test_a_label_without_a_description_is_named() -> None:
    with pytest.raises(ValueError, match=r"^the label 'golf' has no description; add one for it$"):
        describe(["yoga", "golf"], SAID)
    with pytest.raises(ValueError, match="the label 'yogas' has no description, while 'yoga' has one"):
        describe(["yogas"], SAID)


def test_a_single_sentence_is_not_taken_for_a_list_of_letters() -> None:
    assert describe(["tai chi"], SAID) == [("slow flowing movements",)]


def test_descriptions_take_no_template() -> None:
    with pytest.raises(ValueError, match=r"take no template; leave 'a video of \{\}' out"):
        wordings(["yoga"], "a video of {}", {"yoga": ["poses"]})
