"""The small model of golden/by_rule.json, whose weights and inputs anyone can draw again from a written rule."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossframe.model.xclip import XCLIP
from crossframe.weights.convert import to_ours
from crossframe.weights.infer import Checkpoint, default_preprocess, infer_config
from crossframe.weights.loading import build
from crossframe.weights.tables import OPENAI


@dataclass(frozen=True, slots=True)
class ByRule:
    """What the authors' code computed (`expected`), and what it computed it from."""

    expected: dict[str, Any]
    state_dict: dict[str, Tensor]  # under the authors' names, float64
    video: Tensor  # (3, 4, 3, 32, 32)
    tokens: Tensor  # (5, 24)

    def model(self) -> XCLIP:
        """A fresh model with these weights, in float64."""
        tensors = to_ours({name: tensor.clone() for name, tensor in self.state_dict.items()}, OPENAI)
        config = infer_config(tensors, OPENAI)
        checkpoint = Checkpoint(config, tensors, default_preprocess(config), None, OPENAI)
        return build(checkpoint, torch.float64)


def read_by_rule(golden: Path) -> ByRule:
    expected = json.loads((golden / "by_rule.json").read_text())
    state_dict = {name: weight(name, shape) for name, shape in expected["state_dict"].items()}
    video = torch.from_numpy(seeded("video").standard_normal((3, 4, 3, 32, 32)))
    tokens = torch.zeros(5, 24, dtype=torch.int64)
    for i, length in enumerate((1, 2, 5, 11, 22)):
        body = seeded(f"label{i}").integers(1, 62, length)
        tokens[i, : length + 2] = torch.tensor([62, *body.tolist(), 63])
    return ByRule(expected, state_dict, video, tokens)


def seeded(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def weight(name: str, shape: list[int]) -> Tensor:
    """The rule, for the authors' names: a tensor's values follow from its name and shape."""
    r = torch.from_numpy(seeded(name).standard_normal(shape or (1,)))
    if name == "logit_scale":
        return torch.tensor(2.3, dtype=torch.float64)
    if name.endswith("alpha"):
        return 0.1 + 0.05 * r
    if r.dim() == 1:
        return 1 + 0.2 * r if name.endswith(".weight") else 0.2 * r
    return 0.15 * r
