"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossframe.writing import replacing, write_json


def test_what_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "new/a.json", {"ü": 1})
    with pytest.raises(KeyboardInterrupt):
        _write_half(tmp_path / "new/a.json")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert (tmp_path / "new/a.json").read_text(encoding="utf-8") == '{\n  "ü": 1\n}\n'


def test_an_error_speaks_of_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        _write_half(tmp_path / "nowhere/a.json")
    assert error.value.filename == str(tmp_path / "nowhere/a.json")


def _write_half(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
