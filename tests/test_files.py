"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.files import (
    adding_files,
    check_writable,
    plain_json,
    recover,
    remove_parts,
    replace_folder,
    replacing,
    write_json,
    write_text,
    written_alone,
)
from crossframe.records import Records


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


def test_what_ulimit_allows_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*a\.html'"):
            write_text(tmp_path / "a.html", "x" * 2000)
        with (
            pytest.raises(OSError, match=r"File too large: '.*a\.jsonl\.partial'"),
            Records(tmp_path / "a.jsonl", {}) as records,
        ):
            records.add({"video": "x" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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


def writer(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "file").write_text(text)


def test_a_failure_while_writing_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    replace_folder(folder, writer("old"))

    def fail(target: Path) -> None:
        (target / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, fail)
    assert (folder / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_failure_between_the_renames_keeps_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "last"
    replace_folder(folder, writer("old"))
    rename = Path.rename

    def rename_once(self: Path, target: Path) -> Path:
        if self.name == ".last.new":
            raise OSError("gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_once)
    with pytest.raises(OSError, match="gone"):
        replace_folder(folder, writer("new"))
    assert (folder / "file").read_text() == "old"


def test_a_process_that_died_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    replace_folder(folder, writer("old"))
    folder.rename(tmp_path / ".last.old")  # as a killed process leaves it
    recover(folder)
    assert (folder / "file").read_text() == "old"
    replace_folder(folder, writer("new"))
    assert (folder / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_files_join_those_of_a_folder_and_that_named_last_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    for text in ("old", "new"):
        with adding_files(folder, last="a") as part:
            (part / "a").write_text(text)
            (part / "a").chmod(0o600)
            (part / "b").write_text(text)
        (folder / "mine").write_text("mine")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "new", "b": "new", "mine": "mine"}
    assert (folder / "a").stat().st_mode == (folder / "mine").stat().st_mode
    moved: list[str] = []
    monkeypatch.setattr(os, "replace", lambda path, to: moved.append(to.name))
    with adding_files(folder, last="a") as part:
        for name in ("a", "b", "c"):
            (part / name).write_text("")
    assert moved[-1] == "a"
    assert sorted(moved) == ["a", "b", "c"]


def test_a_failure_adds_no_file_to_a_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _add_half(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def _add_half(folder: Path) -> None:
    with adding_files(folder, last="a") as part:
        (part / "a").write_text("half")
        raise KeyboardInterrupt


def test_the_content_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename, replace = os.fsync, Path.rename, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("sync") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *given: done.append("name") or replace(*given))
    monkeypatch.setattr(Path, "rename", lambda *given: done.append("name") or rename(*given))
    write_json(tmp_path / "a.json", {})
    replace_folder(tmp_path / "last", writer("new"))
    with adding_files(tmp_path / "model", last="a") as part:
        (part / "a").write_text("")
    assert done == ["sync", "name", *["sync", "sync", "name"] * 2]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "clips" / ".a.mp4.12.part").mkdir(parents=True)
    (tmp_path / "clips" / ".b.mp4.12.part").write_text("half")
    (tmp_path / "clips" / "c.mp4").write_text("whole")
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["clips", "c.mp4"]


def test_a_folder_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    refused = pytest.raises(
        ValueError, match=f"^{out}: another process writes to it; wait for it, or give --out another"
    )
    with written_alone(out):
        with refused, written_alone(out):
            pass
        (out / "result").touch()
    with written_alone(out):
        assert (out / "result").exists()


def test_a_start_that_fails_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with pytest.raises(KeyError), written_alone(tmp_path / name):
            raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_a_killed_process_held_is_free_though_its_workers_live(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys, time; from crossframe.files import written_alone\n"
        "with written_alone(pathlib.Path(sys.argv[1])):\n"
        "    if os.fork() == 0:\n"  # the worker, which has let go by then
        "        print(os.getpid(), flush=True)\n"
        "    time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    try:
        with pytest.raises(ValueError, match="another process writes to it"), written_alone(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with written_alone(tmp_path):
            os.kill(worker, 0)  # it lives
    finally:
        holder.kill()
        os.kill(worker, signal.SIGKILL)
        holder.stdout.close()
        holder.wait()


def test_a_disk_without_locks_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", fail)
    with written_alone(tmp_path), written_alone(tmp_path):
        pass


def test_json_has_no_word_for_what_is_no_number(tmp_path: Path) -> None:
    values = {"top1": float("nan"), "rows": [1.5, float("inf"), (float("-inf"), 2)], "words": ["NaN", None, True]}
    write_json(tmp_path / "a.json", values)
    text = (tmp_path / "a.json").read_text()
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert found == {"top1": None, "rows": [1.5, None, [None, 2]], "words": ["NaN", None, True]}
    assert plain_json({"a": 0.1}) == json.dumps({"a": 0.1})
