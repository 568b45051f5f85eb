"""Cleaning, one rule at a time."""

from __future__ import annotations

import pytest

from crossframe.text.labels import clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Arm \t wrestling\n", "arm wrestling"),
        ("schÃ¶n", "schön"),
        ("ﬁne", "fine"),
        ("&lt;b&gt; &amp;amp; co", "<b> & co"),
        ("it\u2019s", "it's"),
        ("nul\x00 \x1b[31mred", "nul red"),
        ("a\u2028b\u3000c", "a b c"),
        ("", ""),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_late_entities_stay_decomposed() -> None:
    # ftfy composes characters, but leaves entities alone beside a literal "<"; unescaping comes after it.
    assert clean("e&#x301;") == "\u00e9"
    assert clean("<e&#x301;") == "<e\u0301"


def test_entities_are_unescaped_twice_also_where_a_tag_keeps_ftfy_from_it() -> None:
    assert clean("<b> salt &amp;amp; pepper") == "<b> salt & pepper"
