"""One file, however lists spell it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossframe.data.clip import Clip, OverlapError, check_apart
from crossframe.data.manifest import Manifest
from crossframe.data.places import Places
from crossframe.data.split import hold_out


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with two videos, and links to one of them and to their folder."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "real" / name).touch()
    (tmp_path / "first.mp4").symlink_to("second.mp4")
    (tmp_path / "second.mp4").symlink_to(tmp_path / "real" / "deep" / ".." / "a.mp4")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "round.mp4").symlink_to("round.mp4")
    return tmp_path


def spellings(root: Path) -> list[str]:
    """All of one file."""
    relative = ["real/a.mp4", "./real/a.mp4", "real/deep/../a.mp4", "first.mp4", "second.mp4", "linked/a.mp4"]
    return [*relative, "linked/deep/../a.mp4", str(root / "real" / "a.mp4"), f"{root}//linked/a.mp4"]


def test_all_spellings_of_a_file_are_one_place(root: Path) -> None:
    places = Places(root)
    assert {places.of(path) for path in spellings(root)} == {os.path.realpath(root / "real" / "a.mp4")}
    assert places.of("real/b.mp4") == os.path.realpath(root / "real" / "b.mp4")
    others = ["https://host/x/../a.mp4", "shards/0.tar/512+7/run/../a.mp4"]
    assert [places.of(path) for path in others] == others
    assert places.of("missing/../a.mp4") == os.path.realpath(root / "a.mp4")
    assert places.of("round.mp4").endswith("round.mp4")


def test_each_folder_is_listed_once_and_no_file_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    listing, asking = os.scandir, os.lstat
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(path), listing(path))[1])
    asked: list[str] = []
    monkeypatch.setattr(os, "lstat", lambda path, **how: (asked.append(os.fspath(path)), asking(path, **how))[1])
    places = Places(root)
    for path in spellings(root) * 2:
        places.of(path)
    assert sorted(listed) == sorted({os.path.realpath(root), os.path.realpath(root / "real")})
    assert not [path for path in asked if path.endswith(".mp4")]


@pytest.mark.parametrize("other", range(1, 9))
def test_a_file_is_in_one_split_however_it_is_spelled(other: int, root: Path) -> None:
    first, path = "real/a.mp4", spellings(root)[other]
    with pytest.raises(OverlapError) as raised:
        check_apart([Clip(first, "run", "train"), Clip(path, "run", "val")], root)
    assert raised.value.names == [f"{path}, which is {first} (train, val)"]
    shared = check_apart([Clip(first, "run", "train", 0, 1), Clip(path, "run", "val", 1, 2)], root)
    assert (shared or "").startswith("1 recordings have clips in several splits: real/a.mp4 (train, val); ")
    assert check_apart([Clip(first, "run", "train"), Clip("real/b.mp4", "run", "val")], root) is None


def test_what_is_held_out_shares_no_file_with_training_however_it_is_spelled(root: Path) -> None:
    for number in range(8):
        (root / f"{number}.mp4").touch()
    paths = [f"{number}.mp4" for number in range(8)]
    clips = [Clip(path, "run", "", 0, 1) for path in paths] + [
        Clip(str(root / path), "run", "", 1, 2) for path in paths
    ]
    for seed in range(8):
        train, held = (
            {os.path.realpath(root / clip.path) for clip in part.clips}
            for part in hold_out(Manifest(tuple(clips), ("run",), root), 0.25, seed)
        )
        assert (len(train), len(held), train & held) == (6, 2, set())
