"""`crossframe models` and `crossframe doctor`: the known models, and what this machine can do."""

from __future__ import annotations

import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Annotated

from typer import Option

from crossframe import __version__
from crossframe.cli.shared import json_line
from crossframe.extras import install_command
from crossframe.processes import cores

# What the extra 'train' brings, by the names under which it is imported.
TRAINING_PACKAGES = ("lightning_fabric", "matplotlib", "pyarrow", "pydantic", "tensorboard", "yaml")

WIDE = 160  # columns in which each model has one line


def models(as_json: Annotated[bool, Option("--json", help="One JSON object for each model.")] = False) -> None:
    """List the models that are known by name, with what is known of each."""
    from dataclasses import asdict

    from rich.console import Console

    from crossframe.weights.sources import list_models

    known = list_models()
    if as_json:
        for source in known:
            print(json_line(asdict(source), sys.stdout.encoding))
        return
    titles = ("name", "model", "trained on", "paper: top-1 / top-5", "license")
    rows = [
        (
            source.name,
            f"{source.variant}, {source.frames} frames",
            source.data,
            f"{source.accuracy} ({source.protocol})" if source.accuracy else "",
            source.license,
        )
        for source in known
    ]
    console = Console(markup=False, highlight=False)
    # a pipe has no width of its own: keep each model on one line there
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else WIDE
    if width >= WIDE:
        _print_table(titles, rows, width)
        return
    for name, *about in rows:
        print(name)
        print(textwrap.fill("; ".join(filter(None, about)), width, initial_indent="  ", subsequent_indent="  "))


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title == "name")
    for row in rows:
        table.add_row(*row)
    Console(width=width).print(table)


def doctor() -> None:
    """Say what is installed here, what this machine is fast at, and what is missing."""
    import av
    import torch
    from huggingface_hub import constants

    from crossframe.cli.shared import devices
    from crossframe.inference import choose_precision
    from crossframe.weights.folder import BUNDLED

    rows = [
        ("crossframe", __version__),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} of {cores()} processors used"),
        ("video", f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}, nothing to install"),
        ("decoders", ", ".join(_decoders())),
    ]
    for device in devices():
        rows.append((f"device {device}", f"precision auto is {choose_precision('auto', device)}"))
    asked = f"{constants.ENDPOINT}, asked for models named like owner/name"
    rows.append(("hub", "offline (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else asked))
    rows.append(("model shapes", "bundled" if BUNDLED.is_dir() else "missing from this installation"))
    missing = [name for name in TRAINING_PACKAGES if not find_spec(name)]
    advice = f"missing: {', '.join(missing)}; {install_command('train')}"
    rows.append(("training", advice if missing else "ready"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _decoders() -> list[str]:
    """The common codecs that this FFmpeg decodes."""
    import av

    common = {"h264": "H.264", "hevc": "HEVC", "vp9": "VP9", "av1": "AV1", "mpeg4": "MPEG-4", "mjpeg": "MJPEG"}
    return [name for codec, name in common.items() if codec in av.codecs_available]
