"""The progress bar of commands whose results go to files."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress


def progress(*, shown: bool = True) -> Progress:
    """A bar on standard error that disappears at the end; none if that is no terminal."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not (shown and console.is_terminal))
