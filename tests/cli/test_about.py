"""The commands that tell what there is."""

from __future__ import annotations

import json
import logging
import re

import pytest
import typer

from crossframe import __version__
from crossframe.cli import app, main
from crossframe.weights.sources import list_models


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("classify", "models", "doctor"))


def test_what_is_said_several_times_in_a_row_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])  # which sets up how things are said
    for line in ("seen", "seen", "heard", "seen"):
        logging.getLogger("crossframe.cli").warning(line)
    assert capsys.readouterr().err.splitlines() == [f"crossframe: {word}" for word in ("seen", "heard", "seen")]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"crossframe {__version__}\n"


def test_models_lists_the_hub_and_the_bundled_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "--json"])
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert "microsoft/xclip-base-patch32" in names
    assert "shapes" in names


def commands() -> list[list[str]]:
    """Every command, by the words that call it."""
    found: list[list[str]] = [[]]
    for name, command in typer.main.get_command(app).commands.items():  # pyright: ignore
        found += [[name], *([name, inner] for inner in getattr(command, "commands", ()))]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_fits_into_80_columns(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out  # nothing is cut off
    assert all(line.count("<") == line.count(">") for line in out.splitlines() if "[" not in line)  # nor divided
    assert not re.search(r"<bool>|<list\[| range>", out)  # a flag has no type, and types are not Python's


@pytest.mark.parametrize("columns", [80, 200])
def test_models_are_readable_at_any_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main(["models"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert "…" not in out
    assert {source.name for source in list_models()} <= {line.split("  ")[0].strip() for line in out.splitlines()}
    assert " ".join(out.split()).count("87.7 / 97.4 (4 x 3 views)") == 1


def test_doctor_says_what_decodes_and_what_is_fast(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "H.264" in out
    assert "device cpu" in out


def test_doctor_knows_when_the_hub_is_left_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for offline, words in ((True, "HF_HUB_OFFLINE is set"), (False, "asked for models named like owner/name")):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        with pytest.raises(SystemExit):
            main(["doctor"])
        assert words in capsys.readouterr().out
