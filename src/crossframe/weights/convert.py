"""Renaming tensors from foreign layouts to ours and back, by the tables of `tables.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.tables import Layout, Rule


def belongs(name: str, layout: Layout) -> bool:
    """True for a name of theirs that the layout knows."""
    known = (*(their for rule in layout.rules for their in rule.theirs), *layout.extra)
    return any(_pattern(their).fullmatch(name) for their in known)


def to_ours(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Their tensors under our names.

    Raises `WeightsError` when a tensor has no place in the layout, or one of three that belong together is absent.
    """
    slots = [(rule, position, _pattern(name)) for rule in layout.rules for position, name in enumerate(rule.theirs)]
    found: dict[str, tuple[Rule, dict[int, Tensor]]] = {}
    left_over: list[str] = []
    for name, tensor in tensors.items():
        places = [(rule, at, match) for rule, at, pattern in slots if (match := pattern.fullmatch(name))]
        for rule, position, match in places:
            found.setdefault(_fill(rule.ours, match), (rule, {}))[1][position] = tensor
        if not places:
            left_over.append(name)
    extra = [_pattern(name) for name in layout.extra]
    if unknown := [name for name in left_over if not any(pattern.fullmatch(name) for pattern in extra)]:
        raise WeightsError(f"left over in the layout of {layout.name}: {shorten(unknown)}")
    if partial := [ours for ours, (rule, parts) in found.items() if len(parts) < len(rule.theirs)]:
        absent = {their for ours in partial for their in their_names(ours, layout)} - set(tensors)
        raise WeightsError(f"missing {shorten(absent)}")
    return {ours: _import(rule, [parts[k] for k in sorted(parts)]) for ours, (rule, parts) in found.items()}


def to_theirs(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Our tensors under their names. Raises `WeightsError` for a parameter that their layout cannot hold."""
    result: dict[str, Tensor] = {}
    for ours, tensor in tensors.items():
        rule, names = _rule_for(ours, layout)
        if rule is None:
            raise WeightsError(f"the layout of {layout.name} has no place for {ours}")
        result.update(zip(names, _export(rule, tensor), strict=True))
    return result


def their_names(ours: str, layout: Layout | None) -> tuple[str, ...]:
    """The name of a parameter of ours there; our own where they have none."""
    return (ours,) if layout is None else _rule_for(ours, layout)[1]


def _rule_for(ours: str, layout: Layout) -> tuple[Rule | None, tuple[str, ...]]:
    for rule in layout.rules:
        if match := _pattern(rule.ours).fullmatch(ours):
            return rule, tuple(_fill(name, match) for name in rule.theirs)
    return None, (ours,)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """The names that a template of the tables stands for."""
    return re.compile(re.escape(template).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{w\}", "(?P<w>weight|bias)"))


def _fill(template: str, match: re.Match[str]) -> str:
    return template.format(**match.groupdict())


def _import(rule: Rule, parts: list[Tensor]) -> Tensor:
    match rule.change:
        case "same":
            return parts[0]
        case "transpose":
            return parts[0].mT if parts[0].dim() == 2 else parts[0]
        case "split":
            if len({(part.shape, part.dtype) for part in parts}) > 1:
                shapes = " ".join(str(tuple(part.shape)) for part in parts)
                raise WeightsError(f"queries, keys and values of {rule.ours} have different shapes {shapes}")
            return torch.cat(parts)
        case "no_key_bias":
            return torch.cat([parts[0], torch.zeros_like(parts[0]), parts[1]])
        case "query_apart":
            return torch.cat(parts)
        case "fold_weight":
            weight, scale, variance = parts
            return weight * _norm_scale(scale, variance).view(-1, 1, 1, 1)
        case "fold_bias":
            scale, bias, mean, variance = parts
            return bias - mean * _norm_scale(scale, variance)
        case "minus_log":
            return -parts[0].log()
        case "one_in_front":
            return parts[0][0] if parts[0].shape[:1] == (1,) else parts[0]
        case "two_in_front":
            return parts[0][0, 0] if parts[0].shape[:2] == (1, 1) else parts[0]


def _norm_scale(scale: Tensor, variance: Tensor) -> Tensor:
    """The factor of a batch norm for each channel, with PyTorch's own epsilon."""
    return scale / (variance + 1e-5).sqrt()


def _export(rule: Rule, tensor: Tensor) -> tuple[Tensor, ...]:
    match rule.change:
        case "same":
            return (tensor,)
        case "transpose":
            return (tensor.mT,)
        case "split":
            return tensor.chunk(3)
        case "no_key_bias":
            query, _, value = tensor.chunk(3)  # a bias of keys adds the same to all scores of a query: it means nothing
            return query, value
        case "query_apart":
            width = tensor.shape[0] // 3
            return tensor[:width], tensor[width:]
        case "fold_weight" | "fold_bias":
            raise WeightsError(f"{rule.ours} holds a folded batch norm, which cannot be unfolded")
        case "minus_log":
            return (tensor.neg().exp(),)
        case "one_in_front":
            return (tensor[None],)
        case "two_in_front":
            return (tensor[None, None],)
