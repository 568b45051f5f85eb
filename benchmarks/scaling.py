"""How time and memory grow with frames, picture size, clips at once and processes, beside the multiply-accumulates.

    python -m benchmarks.scaling          # --save also draws docs/scaling.png

B/32 in float32 on a processor, as `Recognizer` runs it. Memory is what the process grows by at most while it encodes.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import ROOT, Bar, Options, Result, in_turn, run
from benchmarks.peers import by_rule, config_of
from crossframe.engine import can_pack, pack
from crossframe.model.config import ModelConfig
from crossframe.model.xclip import XCLIP

NAME = "B/32"


def gmacs(config: ModelConfig, frames: int) -> float:
    """Billions of multiply-accumulates that encode a clip: linear layers and attention products.

    A frame has L = N + 1 tokens of width D. In each block they cost 12 L D^2 in linear layers and 2 L (L + 1) D in
    attention; its message costs 2 D^2 as a key and a value, and 5 D^2 + 2 T D on its way there. The multi-frame
    transformer costs 12 E^2 + 2 T E a frame and layer, the summary for the prompts N D E a clip, whatever T.
    """
    vision, width, joint = config.vision, config.vision.width, config.embed_dim
    patches = vision.grid**2
    tokens = patches + 1
    block = (4 + 2 * vision.mlp_width / width) * tokens * width**2 + 2 * tokens * (tokens + 1) * width
    message = 7 * width**2 + 2 * frames * width
    frame = patches * 3 * vision.patch_size**2 * width + vision.layers * (block + message) + width * joint
    if config.mit is not None:
        frame += config.mit.layers * ((4 * joint + 2 * config.mit.mlp_width) * joint + 2 * frames * joint)
    return (frames * frame + (patches * width * joint if config.prompts else 0)) / 1e9


def measure(options: Options) -> Result:
    config = config_of(NAME, 8, options.tiny)
    size = config.vision.image_size
    rows = [
        *_series("frames", config, options, [{"frames": t} for t in ((2, 4) if options.tiny else (4, 8, 16, 32))]),
        *_series("picture", config, options, [{"size": s} for s in ((size,) if options.tiny else (224, 320, 416))]),
        *_series("clips", config, options, [{"clips": b} for b in ((1, 2) if options.tiny else (1, 2, 4, 8))]),
        *_processes(config, options),
    ]
    frames = [row for row in rows if row["along"] == "frames"]
    first, last = frames[0], frames[-1]
    growth = (last["seconds"] / first["seconds"]) / (last["gmacs"] / first["gmacs"])
    return Result([Bar("time over multiply-accumulates, most against fewest frames", growth, 1.25, True)], rows)


@torch.inference_mode()
def _series(along: str, config: ModelConfig, options: Options, cases: list[dict[str, int]]) -> list[dict[str, Any]]:
    rows, ways, models = [], {}, {}
    for case in cases:
        size = case.get("size", config.vision.image_size)
        if size not in models:
            models[size] = _fast(by_rule(replace(config, vision=replace(config.vision, image_size=size))))
        frames, clips = case.get("frames", config.num_frames), case.get("clips", 1)
        video = torch.randn(clips, frames, 3, size, size)
        encode: Callable[[], object] = lambda m=models[size], v=video: m.encode_video(v)  # noqa: E731
        ways[str(case)] = encode
        row = {"along": along, "frames": frames, "picture": size, "clips": clips, "processes": 1}
        rows.append(row | {"gmacs": clips * gmacs(models[size].config, frames), "MB": _grows_by(encode)})
    seconds = in_turn(ways, options.repeats)
    for row, value in zip(rows, seconds.values(), strict=True):
        row["seconds"] = value.wall
        row["gmacs a second"] = row["gmacs"] / value.wall
    return rows


def _processes(config: ModelConfig, options: Options) -> list[dict[str, Any]]:
    """Processes of one thread each, which encode one clip after the other."""
    rows = []
    for count in (1,) if options.tiny else (1, os.cpu_count() or 1):
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            rate = sum(pool.map(_clips_a_second, [config] * count, [1 if options.tiny else 8] * count))
        row = {"along": "processes", "frames": config.num_frames, "picture": config.vision.image_size, "clips": 1}
        work = gmacs(config, config.num_frames)
        rows.append(row | {"processes": count, "gmacs": work, "seconds": 1 / rate, "gmacs a second": work * rate})
    return rows


@torch.inference_mode()
def _clips_a_second(config: ModelConfig, clips: int) -> float:
    torch.set_num_threads(1)
    model, size = _fast(by_rule(config)), config.vision.image_size
    video = torch.randn(1, config.num_frames, 3, size, size)
    model.encode_video(video)
    started = time.perf_counter()
    for _ in range(clips):
        model.encode_video(video)
    return clips / (time.perf_counter() - started)


def _fast(model: XCLIP) -> XCLIP:
    return pack(model, torch.float32) if can_pack(model, torch.float32) else model


def _grows_by(function: Callable[[], object]) -> float | None:
    """Megabytes by which the process grows at most; None where the system does not tell."""
    with suppress(OSError, KeyError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls left free counts as grown otherwise
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
        before = _status("VmRSS")
        function()
        return (_status("VmHWM") - before) / 1024
    return None


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(dict(line.split(":", 1) for line in lines)[name].split()[0])


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds and megabytes against frames, picture size and clips at once."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, along in zip(figure.subplots(1, 3), ("frames", "picture", "clips"), strict=True):
        series = [row for row in rows if row["along"] == along]
        at = [row[along] for row in series]
        rate = series[0]["seconds"] / series[0]["gmacs"]
        axes.plot(at, [row["seconds"] for row in series], "o-", label="measured")
        axes.plot(at, [row["gmacs"] * rate for row in series], "k:", label="multiply-accumulates")
        axes.set(xlabel={"picture": "side of the picture"}.get(along, along), ylabel="seconds", ylim=(0, None))
        memory = axes.twinx()
        memory.plot(at, [row["MB"] for row in series], "s--", color="tab:orange", label="memory")
        memory.set(ylabel="MB", ylim=(0, None))
    lines = [*axes.get_lines(), *memory.get_lines()]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    import sys

    found = run("scaling", measure)
    if "--save" in sys.argv:
        plot(found.rows, ROOT / "docs" / "scaling.png")
