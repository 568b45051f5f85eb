"""`crossframe shapes`: the generated world, as files that people can watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from crossframe.cli.plain_help import PlainTyper

shapes = PlainTyper(help="Draw clips of the generated world of shapes.", no_args_is_help=True)


@shapes.command()
def render(
    out: Annotated[Path, Argument(help="A folder for the clips and their manifest.csv.")],
    split: Annotated[str, Option(help="train, val, test, unseen, zero_shot, few_shot_train or few_shot_test.")],
    videos: Annotated[int, Option(min=1, help="How many clips.")] = 100,
    seed: Annotated[int, Option(min=0, help="Another seed gives other clips.")] = 0,
    workers: Annotated[int | None, Option(min=1, help="Processes; one for each CPU if not given.")] = None,
    long: Annotated[
        float | None,
        Option(metavar="<seconds>", help="Videos of this length instead, with events listed in events.csv."),
    ] = None,
) -> None:
    """Write clips as H.264 files, and a manifest of what they show. The same seed gives the same clips."""
    from crossframe.cli.shared import progress
    from crossframe.shapes.write import render_dataset

    if long is not None:
        _render_long(out, split, videos, long, seed)
        return
    with progress() as bar:
        task = bar.add_task("clips", total=videos)
        manifest = render_dataset(
            out, split, videos, seed, workers=workers, progress=lambda done: bar.update(task, completed=done)
        )
    print(manifest)


def _render_long(out: Path, split: str, videos: int, seconds: float, seed: int) -> None:
    from crossframe.cli.shared import progress
    from crossframe.shapes.long import render_long

    with progress() as bar:
        task = bar.add_task("videos", total=videos)
        events = render_long(out, split, videos, seconds, seed, progress=lambda done: bar.update(task, completed=done))
    print(events)


@shapes.command()
def preview(
    out: Annotated[Path, Argument(help="The PNG to write.")],
    seed: Annotated[int, Option(min=0, help="Another seed gives other clips.")] = 0,
) -> None:
    """Write one picture with a strip of frames for every action, to check the world at a glance."""
    from crossframe.shapes.preview import contact_sheet, example_scenes

    print(contact_sheet(out, example_scenes(seed)))
