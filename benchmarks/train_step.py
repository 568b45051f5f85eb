"""A training step on a processor, here and in transformers' X-CLIP: same weights, clips, loss, precision, optimizer.

    python -m benchmarks.train_step

The bundled model's sizes and the batch of its recipe, and B/32 with 8 frames as the paper trains it; text features are
known. Labels are weighed by cross-entropy with smoothing, everything but the text encoder learns by fused AdamW. The
first loss and the length of the gradient must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import crossframe
from benchmarks.harness import Bar, Options, Result, in_turn, run
from benchmarks.peers import Theirs, by_rule, config_of
from crossframe.model.config import ModelConfig
from crossframe.model.xclip import XCLIP


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained on."""

    name: str
    model: XCLIP
    clips: int
    labels: int


def measure(options: Options) -> Result:
    rows, bars = [], []
    for case in cases(options.tiny):
        for precision in ("float32", "bfloat16"):
            row, found = _compare(case, precision, options.repeats)
            rows.append(row)
            bars += found
    return Result(bars, rows)


def cases(tiny: bool) -> list[Case]:
    if tiny:
        return [Case("tiny", by_rule(config_of("B/32", 4, True)), 2, 5)]
    return [
        Case("Shapes", by_rule(_shapes()), 16, 22),
        Case("B/32, 8 frames", by_rule(config_of("B/32", 8, False)), 2, 400),
    ]


def _shapes() -> ModelConfig:
    """The sizes of the bundled model, with the one activation for all parts that transformers knows."""
    config = crossframe.load("shapes", device="cpu").config
    return replace(config, vision=replace(config.vision, activation="quick_gelu"))


def _compare(case: Case, precision: str, repeats: int) -> tuple[dict[str, object], list[Bar]]:
    ways = steps(case, precision)
    first = {name: step() for name, step in ways.items()}
    seconds = in_turn(ways, repeats)
    gain = seconds["transformers"].wall / seconds["crossframe"].wall
    apart = max(abs(a / b - 1) for a, b in zip(first["crossframe"], first["transformers"], strict=True))
    row: dict[str, object] = {"case": case.name, "precision": precision, "clips": case.clips, "labels": case.labels}
    row |= {f"{name} s": value.wall for name, value in seconds.items()}
    row |= {f"{name} processor s": value.cpu for name, value in seconds.items()}
    label = f"{case.name}, {precision}"
    return row, [
        Bar(f"{label}: transformers / crossframe", gain, 1.5),
        Bar(f"{label}: first loss and gradient apart", apart, 0.03 if precision == "bfloat16" else 1e-3, at_most=True),
    ]


def steps(case: Case, precision: str) -> dict[str, Callable[[], tuple[float, float]]]:
    """One step of training, here and in transformers: loss and length of the gradient."""
    random = torch.Generator().manual_seed(0)
    config = case.model.config
    video = torch.randn(case.clips, config.num_frames, 3, *[config.vision.image_size] * 2, generator=random)
    text = torch.randn(case.labels, config.embed_dim, generator=random)
    targets = torch.randint(case.labels, (case.clips,), generator=random)
    theirs = Theirs(case.model)
    with torch.no_grad():  # a model of ours with the weights of `case`, which stays as it is
        ours = XCLIP(config)
        ours.load_state_dict(case.model.state_dict())
    forwards: dict[str, tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]] = {
        "crossframe": (ours, lambda video, text: ours.score(ours.encode_video(video), text)),
        "transformers": (theirs.model, theirs.logits),
    }
    found: dict[str, Callable[[], tuple[float, float]]] = {}
    for name, (model, forward) in forwards.items():
        model.train()
        for parameter_name, parameter in model.named_parameters():
            parameter.requires_grad_(not parameter_name.startswith("text"))
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=1e-6, fused=True)

        def step(forward=forward, learning=learning, optimizer=optimizer) -> tuple[float, float]:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits = forward(video, text)
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=0.1)
            loss.backward()
            length = nn.utils.clip_grad_norm_(learning, float("inf"))
            optimizer.step()
            optimizer.zero_grad()
            return float(loss.detach()), float(length)

        found[name] = step
    return found


if __name__ == "__main__":
    run("train_step", measure)
