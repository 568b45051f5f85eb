"""The same clips with their time taken away: the cheapest test of a video model.

`shuffle`: frames in a random order; `reverse`: the last first; `one-frame`: the middle one in the place of all. A score
that does not fall says that the frames were enough.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP

Probe: TypeAlias = Literal["shuffle", "reverse", "one-frame"]
PROBES: tuple[Probe, ...] = get_args(Probe)


def read_probes(asked: str) -> tuple[Probe, ...]:
    """The probes of a list with commas. Raises ValueError for one that there is not.

    >>> read_probes("shuffle,one-frame")
    ('shuffle', 'one-frame')
    """
    names = [name.strip() for name in asked.split(",")]
    if unknown := next((name for name in names if name not in PROBES), None):
        raise ValueError(f"there is no probe {unknown!r}; choose from {', '.join(PROBES)}")
    return tuple(probe for probe in PROBES if probe in names)


def probe_frames(frames: Tensor, probe: Probe) -> Tensor:
    """uint8 (T, 3, H, W) -> the same shape. The shuffled order depends on T and on the pixels alone."""
    match probe:
        case "reverse":
            return frames.flip(0)
        case "one-frame":
            return frames[len(frames) // 2].expand_as(frames)
        case "shuffle":
            generator = torch.Generator().manual_seed(int(frames.long().sum()))
            return frames[torch.randperm(len(frames), generator=generator)]


@contextmanager
def probed(model: XCLIP, probe: Probe | None) -> Generator[None]:
    """Inside, the model gets each clip, or each view of one, as the probe leaves it; None leaves it as it is."""
    kept = model.preprocess
    if probe is not None:
        values = {field.name: getattr(kept, field.name) for field in fields(kept)}
        model.preprocess = _Probing(**values, probe=probe)
    try:
        yield
    finally:
        model.preprocess = kept


@dataclass(frozen=True, kw_only=True)
class _Probing(Preprocess):
    """A model's preprocessing with a probe before it."""

    probe: Probe

    def __call__(self, frames: Tensor | Sequence[Tensor], device: torch.device | str | None = None) -> Tensor:
        return super().__call__(self._probed(frames), device)

    def three_crops(self, frames: Tensor | Sequence[Tensor], device: torch.device | str | None = None) -> Tensor:
        return super().three_crops(self._probed(frames), device)

    def _probed(self, frames: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
        if isinstance(frames, Tensor) and frames.dim() == 4:
            return probe_frames(frames, self.probe)
        return [probe_frames(clip, self.probe) for clip in frames]
