"""`crossframe recipes`: everything that can be trained, once, with its command."""

from __future__ import annotations

import pytest

from crossframe.cli import main
from crossframe.recipes.load import recipe_names
from crossframe.recipes.paper import experiments


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    with pytest.raises(SystemExit) as ended:
        main(["recipes", *arguments])
    output = capsys.readouterr()
    return int(ended.value.code or 0), [line.strip() for line in output.out.splitlines()], output.err


def test_all_recipes_are_listed_once_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = shown(capsys)
    assert code == 0
    assert sorted(line for line in lines if line in recipe_names()) == recipe_names()
    assert lines.index("finetune") < lines.index("k400") < lines.index("shapes-pretrain")
    for name in recipe_names():
        assert sum(line.startswith(f"crossframe train {name} ") for line in lines) == 1


def test_text_fits_into_80_columns_and_commands_stay_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ((), ("k400",)):
        with pytest.raises(SystemExit):
            main(["recipes", *arguments])
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 80 for line in lines if not line.strip().startswith("crossframe "))


def test_a_recipe_shows_the_experiments_that_it_makes(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = shown(capsys, "k400")
    assert code == 0
    for run in experiments():
        assert (run.command in lines) == (run.recipe == "k400")
    assert "B/32, 16 frames; the paper: 81.1 / 95.5" in lines
    assert lines[-1] == "crossframe evaluate RUN/recipe.yaml --model RUN/last --out RUN-test"


def test_a_typo_gets_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = shown(capsys, "k40")
    assert (code, error) == (1, "crossframe: there is no recipe 'k40'; did you mean 'k400'?\n")
