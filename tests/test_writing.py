"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crossframe.writing import check_writable, replacing, write_json


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


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'") as error, replacing(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as writing to a file tells it
    assert error.value.filename == str(tmp_path / "a.json")


def test_what_cannot_be_removed_does_not_hide_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "write_text", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="Read-only") as error:
        write_json(tmp_path / "a.json", {})
    assert error.value.filename == str(tmp_path / "a.json")


def test_whether_a_folder_takes_files_is_known_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "a/b")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError) as error:
        check_writable(tmp_path / "a/b")
    assert error.value.filename == str(tmp_path / "a/b")
