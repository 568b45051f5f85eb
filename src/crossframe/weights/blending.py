"""Weight-space averaging (WiSE-FT): a fine-tuned model moved back toward the pretrained one that it came from.

This restores much of what fine-tuning forgot and keeps most of what it learned, without training.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor

from crossframe.model.parts import PRETRAINED, part_of
from crossframe.model.xclip import XCLIP
from crossframe.weights.errors import WeightsError, shorten
from crossframe.weights.loading import with_positions

CANDIDATES = tuple(step / 10 for step in range(11))  # the weights that `choose_weight` tries


def blend(tuned: XCLIP, pretrained: XCLIP, weight: float) -> XCLIP:
    """A new model with (1 - weight) * pretrained + weight * tuned on the parameters that both have.

    What only `tuned` has, such as the video parts that CLIP lacks, stays as it is. Raises `WeightsError` for a weight
    outside 0 to 1 and for models whose encoders are not of the same kind and size.
    """
    if not 0.0 <= weight <= 1.0:
        raise WeightsError(f"the weight is {weight}; give one from 0 (pretrained) to 1 (tuned)")
    blended = deepcopy(tuned)
    with torch.no_grad():
        named = dict(blended.named_parameters())
        for name, value in shared_values(tuned, pretrained).items():
            named[name].copy_(torch.lerp(value, named[name], weight))
    blended.taught = replace(tuned.taught, calibration=None)
    return blended


def shared_values(tuned: XCLIP, pretrained: XCLIP) -> dict[str, Tensor]:
    """The pretrained values of the parameters that both models have, in the dtype and on the device of `tuned`.

    Positions are interpolated where the number of frames or the size of pictures changed.
    """
    values = with_positions(pretrained.state_dict(), tuned.config)
    named = dict(tuned.named_parameters())
    found = {name: values[name] for name, own in named.items() if name in values and values[name].shape == own.shape}
    # A part of another size, such as a head for other classes, was begun anew; encoders never are.
    towers = PRETRAINED if tuned.text is not None else ("pretrained",)
    encoders = {name for name in named.keys() | values.keys() if part_of(name).name in towers}
    if differ := encoders - found.keys() - {"logit_bias"}:  # which sigmoid training brings
        raise WeightsError(
            f"the tuned and the pretrained model differ in {shorten(differ)}: "
            "give the pretrained model that the tuned one was trained from"
        )
    return {name: value.detach().to(named[name].device, named[name].dtype) for name, value in found.items()}


def choose_weight(tuned: XCLIP, pretrained: XCLIP, score: Callable[[XCLIP], float]) -> tuple[float, dict[float, float]]:
    """The best of the weights 0, 0.1, ..., 1 by `score` (of equals, the largest), and all scores.

    The score must come from classes that the tuned model was not trained on, or 1 always wins, and that are not in the
    final test, or its result is not zero-shot.
    """
    scores = {weight: score(blend(tuned, pretrained, weight)) for weight in CANDIDATES}
    return max(scores, key=lambda weight: (scores[weight], weight)), scores
