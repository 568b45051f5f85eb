"""`crossframe card`: the page of a checkpoint on the hub, from its training and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from crossframe.files import write_text


def card(
    checkpoint: Annotated[Path, Argument(help="A checkpoint in the folder of its training, as RUN/last.")],
    name: Annotated[str | None, Option(help="What the model is called, as on the hub; the run's name.")] = None,
    license: Annotated[str | None, Option(help="Of the weights, as mit; that of where training began.")] = None,
    scores: Annotated[list[Path] | None, Option(help="A folder of another test of it; repeat it.")] = None,
) -> None:
    """Write README.md into a checkpoint: data, recipe, scores with intervals, license."""
    from crossframe.evaluate.card import RECIPE, is_edited, model_card
    from crossframe.published import CARD
    from crossframe.weights import load

    run = checkpoint.resolve().parent
    if not (run / RECIPE).is_file():
        raise ValueError(f"{checkpoint} is no checkpoint in the folder of a training; give RUN/last or RUN/best")
    path = checkpoint / CARD
    if path.exists() and is_edited(path):
        raise ValueError(f"{path} was edited by hand; move it away for a new one")
    written = model_card(load(checkpoint, device="cpu"), run, name=name, license=license, scores=scores or [])
    write_text(path, str(written))
    print(path)
