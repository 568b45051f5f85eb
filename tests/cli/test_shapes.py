"""`crossframe shapes` as people use it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_rendering_prints_the_list_and_nothing_else(command: Run, tmp_path: Path) -> None:
    outcome = command("shapes", "render", tmp_path / "clips", "--split", "test", "--videos", 2, "--workers", 1)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"{tmp_path / 'clips/manifest.csv'}\n"
    assert len(list((tmp_path / "clips/test").iterdir())) == 2


def test_a_file_in_the_place_of_a_folder_and_the_other_way_round(command: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    rendered = command("shapes", "render", tmp_path / "file", "--split", "test", "--workers", 1)
    shown = command("shapes", "preview", tmp_path)
    for outcome, reason in (
        (rendered, "lies in a file, where a folder is needed"),
        (shown, "is a folder, where a file"),
    ):
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (1, "", 1)
        assert reason in outcome.err
