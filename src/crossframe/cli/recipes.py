"""`crossframe recipes`: what can be trained."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from typer import Argument

if TYPE_CHECKING:
    from crossframe.recipes.paper import Experiment

WIDTH = 100  # columns at most; a command stays in one line, to be copied


def recipes(
    name: Annotated[str | None, Argument(help="Show the paper's experiments that this recipe makes.")] = None,
) -> None:
    """List the recipes that come with crossframe, or the paper's experiments of one, with their commands."""
    from crossframe.recipes.load import describe, recipe_names, unknown
    from crossframe.recipes.paper import experiments

    if name is None:
        for heading, names in _groups():
            print(f"{heading}\n")
            for recipe in names:
                print(f"  {recipe}\n{_indented(describe(recipe)[1])}\n      {describe(recipe)[0]}\n")
        return
    if name not in recipe_names():
        raise unknown(name)
    command, purpose = describe(name)
    print(f"{textwrap.fill(purpose, _width())}\n  {command}")
    _print_experiments([run for run in experiments() if run.recipe == name])


def _groups() -> list[tuple[str, list[str]]]:
    """Headings, and the recipes below them."""
    from crossframe.recipes.load import load_recipe, recipe_names
    from crossframe.recipes.paper import experiments

    paper = list(dict.fromkeys(run.recipe for run in experiments()))
    own = [name for name in recipe_names() if load_recipe(name).data.kind == "files" and name not in paper]
    drawn = [name for name in recipe_names() if name not in paper and name not in own]
    return [
        ("Your own clips", own),
        ("The paper's experiments (crossframe recipes NAME: those of one, with numbers)", paper),
        ("Shapes, the drawn world", drawn),
    ]


def _print_experiments(runs: Sequence[Experiment]) -> None:
    table = ""
    for run in runs:
        if run.table != table:
            table = run.table
            print(f"\n{table}")
        print(f"  {run.name}; the paper: {run.result}\n      {run.command}")
    if runs:
        print(
            "\nA run is measured by its own recipe, zero-shot on lists of new classes (--data),\n"
            "ablations of k400 in one view (--views 1 --crops 1):\n"
            "  crossframe evaluate RUN/recipe.yaml --model RUN/last --out RUN-test"
        )


def _indented(text: str) -> str:
    return textwrap.fill(text, _width(), initial_indent="    ", subsequent_indent="    ")


def _width() -> int:
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
