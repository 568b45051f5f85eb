"""Where the time goes that the bars of `one_clip` and `train_step` speak of: PyTorch's profiler, one thread.

    python -m benchmarks.profile

Shares of the time of the image encoder, B/16 with 8 frames, in PyTorch's layers and packed; and of a training
step of the bundled model's sizes and of B/32 with 8 frames, here and in transformers. Operators are put into groups by
their names; time that a group's operator spends in others counts for those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from benchmarks.harness import Bar, Options, Result, run
from benchmarks.peers import by_rule, config_of, precisions
from benchmarks.train_step import cases, steps
from crossframe.engine import pack

# The first group with a word of an operator's name takes it. Products of attention are batched ones.
GROUPS = {
    "optimizer": ("adam", "foreach", "norm_", "linalg_vector_norm"),
    "attention": ("bmm", "softmax", "scaled_dot_product", "flash_attention"),
    "products": ("addmm", "aten::mm", "linear", "convolution"),
    "norms": ("layer_norm",),
    "activations": ("gelu", "sigmoid", "silu"),
}
REST = "copies and the rest"


def measure(options: Options) -> Result:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [*_encoder(options), *_training(options)]
    finally:
        torch.set_num_threads(threads)
    fastest = [*precisions()][-1]
    packed = next(row for row in rows if row.get("encoder") == "packed" and row["precision"] == fastest)
    return Result([Bar(f"packed {fastest}: share of products in the encoder's time", packed["products"], 0.8)], rows)


@torch.inference_mode()
def _encoder(options: Options) -> list[dict[str, Any]]:
    model = by_rule(config_of("B/16", 4 if options.tiny else 8, options.tiny))
    video = torch.randn(1, model.config.num_frames, 3, *[model.config.vision.image_size] * 2)
    rows = []
    for name, dtype in precisions().items():
        pixels = video.to(dtype)
        engines = {"PyTorch's layers": deepcopy(model.vision).to(dtype), "packed": pack(model, dtype).vision}
        for engine, encoder in engines.items():
            shares = _shares(lambda e=encoder, v=pixels: e(v), options.repeats)
            rows.append({"encoder": engine, "precision": name} | shares)
    return rows


def _training(options: Options) -> list[dict[str, Any]]:
    rows = []
    for case in cases(options.tiny):
        for precision in precisions():
            for side, step in steps(case, precision).items():
                rows.append({"step": case.name, "side": side, "precision": precision} | _shares(step, options.repeats))
    return rows


def _shares(function: Callable[[], object], repeats: int) -> dict[str, float]:
    """Milliseconds a call, and the share of every group in it."""
    function()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(repeats):
            function()
    spent: Counter[str] = Counter()
    for event in profile.key_averages():
        spent[_group(event.key)] += event.self_cpu_time_total
    total = spent.total()
    return {"ms": total / repeats / 1e3} | {name: spent[name] / total for name in (*GROUPS, REST)}


def _group(operator: str) -> str:
    name = operator.lower()
    return next((group for group, words in GROUPS.items() if any(word in name for word in words)), REST)


if __name__ == "__main__":
    run("profile", measure)
