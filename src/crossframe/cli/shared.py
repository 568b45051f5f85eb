"""Shared by several commands: the devices of this machine, lines of JSON, and the progress bar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress


def devices() -> list[torch.device]:
    """The CPU, every CUDA GPU, and Apple's GPU."""
    import torch

    found = [torch.device("cpu")]
    found += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return found + ([torch.device("mps")] if torch.backends.mps.is_available() else [])


def choose_device(name: str) -> torch.device:
    """The device called `name`, for instance `cuda:1`; a type without a number is the first of its kind.

    Raises ValueError, which names those that there are.
    """
    import torch

    names = dict.fromkeys(name for device in devices() for name in (device.type, str(device)))
    if name not in names:
        raise ValueError(f"device '{name}' is not available here; choose {' or '.join(names)}")
    return torch.device(name)


def json_line(values: Mapping[str, Any], encoding: str) -> str:
    """An object in one line; characters are escaped where the encoding lacks one of them."""
    line = json.dumps(values, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(values)
    return line


def progress(*, shown: bool = True) -> Progress:
    """A bar on standard error, for results that go to files; it disappears at the end. None if that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not (shown and console.is_terminal))
