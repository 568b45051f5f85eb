"""Parameter groups, optimizers (AdamW with the paper's groups; Muon for training from scratch), averaged weights."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from crossframe.model.parts import PRETRAINED, PartName, part_of
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Rates
from crossframe.train.fsdp import shard_like
from crossframe.train.muon import Muon


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters with the same settings, by name."""

    part: PartName
    decays: bool
    matrix: bool  # a weight matrix inside a block
    names: tuple[str, ...]


def group_of(name: str, fresh: Collection[str] = ()) -> PartName:
    """The part of the model that a parameter is trained with.

    `fresh`: parameters that are new because an encoder was replaced; they are trained like a head.
    """
    return "head" if name in fresh else part_of(name).name


def decays(name: str, parameter: nn.Parameter) -> bool:
    """True if a parameter gets weight decay: all but biases, other vectors and position embeddings.

    The authors' rule excludes parameters of exactly one dimension, so the scalar `logit_scale` decays if it is trained.
    """
    return parameter.dim() != 1 and name.split(".")[-1] not in ("bias", "position", "registers")


def freeze(model: XCLIP, *, vision: bool, text: bool, fresh: Collection[str] = ()) -> None:
    """Freeze what is not trained. New modules always are; scale and bias of the logits belong to the text encoder."""
    for name, parameter in model.named_parameters():
        part = group_of(name, fresh)
        of_logits = name in ("logit_scale", "logit_bias")
        side = text if part == "text" or of_logits else vision
        if of_logits and model.head is not None:  # which does not use them
            side = False
        parameter.requires_grad_(side or part not in PRETRAINED)


def groups(model: nn.Module, fresh: Collection[str] = ()) -> list[Group]:
    """The trained parameters of `model`, grouped by part, weight decay, and being a matrix in a block."""
    found: dict[tuple[PartName, bool, bool], list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matrix = parameter.dim() == 2 and (".blocks." in name or ".layers." in name)
            found.setdefault((group_of(name, fresh), decays(name, parameter), matrix), []).append(name)
    return [Group(*key, tuple(names)) for key, names in sorted(found.items())]


def base_for(width: int) -> float:
    """The base rate for fine-tuning an image encoder of this width: the paper's few-shot rate from CLIP's 768 on. For
    smaller ones it grows with the square of the ratio, which gives the 7e-5 that suits the bundled model's 128.

    >>> base_for(1024), round(base_for(128), 6)
    (2e-06, 7.2e-05)
    """
    return 2e-6 * max(1.0, 768 / width) ** 2


def auxiliary_optimizer(module: nn.Module, rates: Rates, width: int) -> Optimizer:
    """AdamW for a module that is trained beside a model of this width, at the rate of new modules."""
    base = rates.base or base_for(width)
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    group = {"params": learning, "lr": base * rates.new, "base": base * rates.new, "minimum": base * rates.final}
    return AdamW([group], betas=rates.betas, eps=rates.eps, weight_decay=rates.weight_decay, fused=True)


def build_optimizers(model: XCLIP, rates: Rates, fresh: Collection[str] = ()) -> list[Optimizer]:
    """AdamW, and Muon where `rates.muon` is given. Each group carries `base`, its highest rate, and `minimum`."""
    named = dict(model.named_parameters())
    base = rates.base or base_for(model.config.vision.width)
    adamw: list[dict[str, object]] = []
    muon: list[dict[str, object]] = []
    for group in groups(model, fresh):
        by_muon = rates.muon is not None and group.matrix
        highest = rates.muon if rates.muon is not None and by_muon else base
        factor = {"pretrained": 1.0, "text": rates.text}.get(group.part, rates.new)
        (muon if by_muon else adamw).append(
            {
                "params": [named[name] for name in group.names],
                "names": list(group.names),
                "lr": highest * factor,
                "base": highest * factor,
                "minimum": highest * rates.final,
                "weight_decay": rates.weight_decay if group.decays else 0.0,
            }
        )
    optimizers: list[Optimizer] = []
    if adamw:
        optimizers.append(AdamW(adamw, betas=rates.betas, eps=rates.eps, fused=True))
    if muon:
        optimizers.append(Muon(muon))
    if not optimizers:
        raise ValueError("nothing in this model learns; let vision or text learn, or add new modules")
    return optimizers


class AveragedWeights:
    """The running mean of a model's trained parameters.

    With `decay`, an exponential moving average over steps, which starts as a plain mean so that the initial random
    weights are soon forgotten. Without it, the plain mean of the weights after every `every` steps; before the first
    of these, the model's own weights.
    """

    def __init__(self, model: nn.Module, decay: float | None, every: int = 1) -> None:
        self.decay = decay
        self.every = every
        self.steps = 0
        self.model = model
        self.mean = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Include the model's weights after one more step."""
        updates, rest = divmod(self.steps, self.every)
        self.steps += 1
        if rest != self.every - 1:
            return
        share = 1 / (updates + 1) if self.decay is None else 1 - min(self.decay, (1 + updates) / (10 + updates))
        named = dict(self.model.named_parameters())
        for name, mean in self.mean.items():
            mean.lerp_(named[name], share)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Inside, the model has the averaged weights; after, its own again."""
        if self.steps < self.every:
            yield
            return
        own = {name: p.detach().clone() for name, p in self.model.named_parameters() if name in self.mean}
        _copy(self.mean, self.model)
        try:
            yield
        finally:
            _copy(own, self.model)

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` takes."""
        return {"steps": self.steps, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.steps = state["steps"]
        for name, tensor in state["mean"].items():
            self.mean[name].copy_(shard_like(tensor, self.mean[name]))


@torch.no_grad()
def _copy(source: dict[str, Tensor], model: nn.Module) -> None:
    named = dict(model.named_parameters())
    for name, tensor in source.items():
        named[name].copy_(tensor)


class LossScale:
    """A factor for losses in float16, whose small gradients would be zero: halved, and the step left out, where they
    overflow, and doubled after `GROWS_AFTER` steps in which they did not.

    torch's scaler would ask each optimizer, and each process its shard of the gradients; here one norm decides for all.
    """

    GROWS_AFTER = 2000

    def __init__(self) -> None:
        self.factor = 2.0**16
        self.good = 0  # steps since it changed

    def fits(self, norm: Tensor) -> bool:
        """Follow a step whose gradients have this norm; returns whether it can be taken."""
        if not norm.isfinite():
            self.factor, self.good = self.factor / 2, 0
            return False
        self.good += 1
        if self.good == self.GROWS_AFTER:
            self.factor, self.good = self.factor * 2, 0
        return True

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"factor": self.factor, "good": self.good}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """As it was saved."""
        self.factor, self.good = float(state["factor"]), int(state["good"])
