"""JSON for programs on any terminal."""

from __future__ import annotations

import json

import pytest

from crossframe.cli.json_lines import json_line

NOT_UTF_8 = b"\xff.mp4".decode(errors="surrogateescape")  # as Python reads such a file's name


@pytest.mark.parametrize(
    ("word", "encoding", "shown"),
    [
        ("café", "utf-8", "café"),
        ("拉小提琴", "utf-8", "拉小提琴"),
        ("café", "latin-1", "café"),
        ("café", "ascii", "caf\\u00e9"),
        (NOT_UTF_8, "utf-8", "\\udcff.mp4"),
    ],
)
def test_characters_are_shown_where_they_can_be(word: str, encoding: str, shown: str) -> None:
    line = json_line({"label": word}, encoding)
    assert line == f'{{"label": "{shown}"}}'
    assert json.loads(line.encode(encoding).decode(encoding)) == {"label": word}
