"""`crossframe base-to-novel`: trained on half of the classes, tested on both halves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def base_to_novel(
    init: Annotated[str, Option(help="The weights to start from: a hub id, a folder, a file, or 'shapes'.")],
    data: Annotated[Path, Option(help="A list of clips with the splits train and test.")],
    out: Annotated[Path, Option(help="The folder for the runs and base_to_novel.json.")],
    recipe: Annotated[str, Argument(help="How to train; see crossframe recipes.")] = "finetune",
    shots: Annotated[int, Option(min=1, help="Clips of each base class to train on.")] = 16,
    draws: Annotated[int, Option(min=1, help="How often classes and clips are drawn.")] = 3,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry of the recipe; repeat it.")] = None,
) -> None:
    """Train on a few clips of half of the classes, in several draws, and test on both halves, each among its labels."""
    from crossframe.recipes.load import load_recipe
    from crossframe.train.base_novel import SCORES
    from crossframe.train.base_novel import base_to_novel as run

    chosen = load_recipe(recipe, [f"data.shots={shots}", *(changes or ())])
    found = run(chosen, init, data, out, draws=range(draws))
    for name in SCORES:
        print(f"{name.replace('_', ' '):<14} {found['mean'][name]:.1%} ± {found['deviation'][name]:.1%}")
    for name in ("base", "novel"):
        print(f"{name + ' before':<14} {found['mean'][f'{name}_before']:.1%}")
    print(out / "base_to_novel.json")
