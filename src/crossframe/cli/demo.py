"""`crossframe demo`: the whole way on this machine, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from crossframe.demo import Shown


def demo(
    out: Annotated[Path, Option(help="Where the clips and the page go.")] = Path("demo"),
    clips: Annotated[int, Option(min=1, help="How many clips.")] = 8,
    model: Annotated[str, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'.")] = "shapes",
) -> None:
    """Draw clips of moving shapes, name what happens in them, and write a page that shows it."""
    from rich.console import Console

    from crossframe.demo import run_demo

    console = Console(highlight=False)
    results: list[bool] = []

    def tell(clip: Shown) -> None:
        results.append(clip.right)
        said, score = clip.prediction.top(1)[0]
        mark = "[green]✓[/]" if clip.right else f"[red]✗[/] it is {clip.truth}"
        console.print(f"{clip.path.name:<12} {score:>6.1%}  {said}  {mark}", soft_wrap=True)

    page = run_demo(out, source=model, clips=clips, on_clip=tell)
    console.print(f"\n{sum(results)} of {len(results)} named right. The page: {page}", soft_wrap=True)
