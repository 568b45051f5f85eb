"""`crossframe train`: from a recipe to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from crossframe.cli.dry_run import print_dry_run
from crossframe.cli.processes import is_first


def train(
    recipe: Annotated[str, Argument(help="A recipe by name (see crossframe recipes), or a .yaml file.")],
    out: Annotated[Path | None, Option(help="The run folder: checkpoints, logs and scores.")] = None,
    init: Annotated[str | None, Option(help="Weights to start from: a hub id, a folder, a file, or 'shapes'.")] = None,
    data: Annotated[str | None, Option(help="A manifest, or a folder with a folder of clips for each class.")] = None,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry: train.epochs=10; repeat it.")] = None,
    tiny: Annotated[bool, Option("--tiny", help="The small variant: seconds instead of hours.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on with the run in this folder, exactly.")] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what the run would be, its cost, memory and hours, and stop.")
    ] = False,
) -> None:
    """Train a model as a recipe says. Ctrl-C saves first; --resume goes on where it stopped."""
    from crossframe.recipes.load import RECIPE, check_unchanged, given_entries, load_recipe

    chosen = load_recipe(recipe, changes or (), tiny=tiny)
    if dry_run:
        print_dry_run(chosen, init, data)
        return
    if out is None:
        raise typer.BadParameter("give a folder for the run", param_hint="--out")
    if resume and (out / RECIPE).is_file():
        check_unchanged(load_recipe(out / RECIPE), chosen, given_entries(recipe, changes or (), tiny=tiny))

    # after the recipe was read: what is wrong with it need not wait for torch
    from crossframe.train.run import TrainingStopped
    from crossframe.train.run import train as run

    try:
        summary = run(chosen, out, init=init, data=data, resume=resume)
    except TrainingStopped as stop:
        if is_first():
            typer.echo(f"crossframe: {stop}", err=True)
        raise SystemExit(130) from None  # where typer.Exit would have "interrupted" said too
    if not is_first():
        return
    scores = "  ".join(f"{name} {value:.1%}" for name, value in summary.best.items())
    best = f"best after step {summary.best_step}: {scores}" if scores else "not tested, for no clips are held back"
    print(f"{summary.steps} steps in {summary.seconds:.0f} s; {best}")
    if summary.unreadable:
        drawn = summary.clips + summary.unreadable
        print(f"{summary.unreadable} of {drawn} times a clip could not be read; see crossframe data verify")
    print(out / ("best" if scores else "last"))
