"""Prompt templates."""

from __future__ import annotations

import pytest

from crossframe.text import ENSEMBLE, fill
from crossframe.text.templates import templates, wordings


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
