"""`crossframe models` and `crossframe doctor`: the known models, and what this machine can do."""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from typing import Annotated

from typer import Option

from crossframe import __version__
from crossframe.cli.shared import json_line
from crossframe.extras import install_command
from crossframe.processes import cores

# What the extra 'train' brings, by the names under which it is imported.
TRAINING_PACKAGES = ("lightning_fabric", "matplotlib", "pyarrow", "pydantic", "tensorboard", "yaml")


def models(as_json: Annotated[bool, Option("--json", help="One JSON object for each model.")] = False) -> None:
    """List the models that are known by name, with what is known of each."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from crossframe.weights.sources import list_models

    known = list_models()
    if as_json:
        for source in known:
            print(json_line(asdict(source), sys.stdout.encoding))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for title in ("model", "trained on", "paper: top-1 / top-5", "license"):
        table.add_column(title)
    for source in known:
        model = f"{source.variant}, {source.frames} frames"
        accuracy = f"{source.accuracy} ({source.protocol})" if source.accuracy else ""
        table.add_row(source.name, model, source.data, accuracy, source.licence)
    console = Console()
    # a pipe has no width of its own: keep each model on one line there
    Console(width=None if console.is_terminal else 160).print(table)


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
