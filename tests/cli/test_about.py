"""The commands that tell what there is."""

from __future__ import annotations

import json

import pytest

from crossframe import __version__
from crossframe.cli import main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("classify", "models", "doctor"))


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
