"""Tiny checkpoints of other families as their publishers lay them out, and what the families' own code makes of them.

The weights are drawn again from their seeds; only the outputs are stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossframe.weights import infer, open_clip

GOLDEN = Path(__file__).parents[1] / "golden"
FAMILIES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "families.json").read_text())["families"]
OUTPUTS = load_file(GOLDEN / "families.safetensors")


def weights(family: str) -> dict[str, Tensor]:
    """The state dict under published names: random, and large enough that everything in the towers matters."""
    known = FAMILIES[family]
    generator = torch.Generator().manual_seed(known["seed"])
    drawn: dict[str, Tensor] = {}
    thirds: dict[str, dict[str, Tensor]] = {}  # queries, keys and values that were drawn apart
    for name, shape in known["weights"]:
        whole, _, third = name.partition("#")
        value = _draw(whole, shape, generator).float()
        if third:
            thirds.setdefault(whole, {})[third] = value
        else:
            drawn[whole] = value
    drawn |= {name: torch.cat([parts[key] for key in sorted(parts)]) for name, parts in thirds.items()}
    total = sum(value.double().abs().sum().item() for value in drawn.values())
    drawn |= {name: torch.tensor(value) for name, value in known["fixed"].items()}
    total += sum(abs(value) for value in known["fixed"].values() if isinstance(value, float))
    assert total == pytest.approx(known["total"], rel=1e-9), (
        "this machine draws other numbers than those of the outputs"
    )
    return drawn


def _draw(name: str, shape: list[int], generator: torch.Generator) -> Tensor:
    last = name.rpartition(".")[2]
    if last == "running_var":
        return 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    if last == "gamma":
        return 0.6 + 0.2 * noise
    if len(shape) == 1:
        mean, spread = {"weight": (1.0, 0.2), "class_embedding": (0.0, 1.0)}.get(last, (0.0, 0.3))
        return mean + spread * noise
    if "pos" in last:
        return 0.5 * noise
    if "token" in name or last in ("latent", "probe"):
        return noise
    if last in ("proj", "text_projection"):
        return noise * shape[0] ** -0.5
    return noise * 1.3 * torch.Size(shape[1:]).numel() ** -0.5


def pictures(size: int, count: int) -> Tensor:
    """(count, 1, 3, size, size): single frames."""
    generator = torch.Generator().manual_seed(size)
    return torch.randn(count, 3, size, size, generator=generator, dtype=torch.float64).float().double().unsqueeze(1)


def publish(family: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source for `load` that a publisher would offer.

    Heads that a full-size checkpoint has by its name or its width are those of the tiny ones here.
    """
    known = FAMILIES[family]
    layout = known["layout"]
    monkeypatch.setattr(open_clip, "_HEADS", dict.fromkeys(open_clip._HEADS, 4))
    monkeypatch.setattr(infer, "head_count", {64: 4, 80: 4, 32: 2, 48: 1}.__getitem__)
    tensors = weights(family)
    names = {"open_clip": "open_clip_model.safetensors", "meta": "PE-Core.safetensors", "tipsv2": "model.safetensors"}
    save_file(tensors, folder / names[layout], {"format": "pt"})
    if layout == "meta":
        return folder / names[layout]
    config = "open_clip_config.json" if layout == "open_clip" else "config.json"
    (folder / config).write_text(json.dumps(known["config"]))
    return folder


def error(ours: Tensor, family: str, output: str) -> float:
    """The largest difference in standard deviations of the reference."""
    theirs = OUTPUTS[f"{family}/{output}"]
    return float((ours.double() - theirs).abs().max() / theirs.std())
