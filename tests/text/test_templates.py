"""Prompt templates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossframe.text import ENSEMBLE, fill, read_descriptions
from crossframe.text.labels import describe, templates, wordings


def test_fill() -> None:
    assert fill("a video of {}", ["yoga", "tai chi"]) == ["a video of yoga", "a video of tai chi"]
    assert fill("{}", ["yoga"]) == ["yoga"]


def test_braces_in_labels_and_templates_are_text() -> None:
    assert fill("{x} {}!", ["{}", "{y}"]) == ["{x} {}!", "{x} {y}!"]


@pytest.mark.parametrize(("template", "times"), [("a video", 0), ("{} and {}", 2), ("a {0}", 0), ("", 0)])
def test_exactly_one_place(template: str, times: int) -> None:
    with pytest.raises(ValueError, match=f"contains {{}} {times} times") as caught:
        fill(template, ["yoga"])
    assert repr(template) in str(caught.value)


def test_a_single_text_is_not_a_list_of_labels() -> None:
    with pytest.raises(ValueError, match="single text 'yoga'"):
        fill("a video of {}", "yoga")


def test_the_ensemble_is_sixteen_different_templates() -> None:
    filled = [fill(template, ["yoga"])[0] for template in ENSEMBLE]
    assert len(set(filled)) == 16
    assert all("yoga" in text for text in filled)


def test_a_setting_names_one_template_or_all_of_the_ensemble() -> None:
    assert templates("ensemble") == ENSEMBLE
    assert templates("a film of {}") == ("a film of {}",)
    with pytest.raises(ValueError, match=r"contains \{\} 0 times"):
        templates("ensembel")


def test_wordings_are_grouped_by_label() -> None:
    assert wordings(["yoga", "golf"]) == [("yoga",), ("golf",)]
    assert wordings(["yoga", "golf"], ["{}", "some {}"]) == [("yoga", "some yoga"), ("golf", "some golf")]
    assert [len(said) for said in wordings(["yoga", "golf"], "ensemble")] == [16, 16]


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


def test_rephrased_class_names_are_descriptions(tmp_path: Path) -> None:
    by_number, lines = tmp_path / "rephrased.json", tmp_path / "rephrased.txt"
    by_number.write_text(json.dumps({"0": "Brush hair: someone uses a brush", "1": "Clap: hands meet"}))
    lines.write_text("0. Brush hair: someone uses a brush\n\n4. Clap: hands meet\n")
    expected = {"Brush hair": ("Brush hair: someone uses a brush",), "Clap": ("Clap: hands meet",)}
    assert read_descriptions(by_number) == read_descriptions(lines) == expected
    assert describe(["clap", "brush_hair"], expected) == [expected["Clap"], expected["Brush hair"]]
    assert describe(["BrushHair"], expected) == [expected["Brush hair"]]
    as_yaml = tmp_path / "said.yaml"
    as_yaml.write_text("yoga:\n  - slow poses\ngolf: a swing\n")
    assert read_descriptions(as_yaml) == {"yoga": ("slow poses",), "golf": ("a swing",)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.json", '{"0": "someone claps"}', "id 0: 'someone claps' does not begin with its label and a colon"),
        ("r.json", '{"0": ["Clap: hands meet"]}', "does not begin with its label"),
        ("r.txt", "0. Clap: hands meet\n1. someone claps\n", "line 2: .* does not begin with its label"),
        ("r.txt", "Clap: a\nClap: b\n", "line 2: 'Clap' has a sentence already"),
        ("r.txt", "# nothing\n", "holds no descriptions"),
    ],
)
def test_rephrased_names_without_a_label_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_descriptions(tmp_path / name)


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
