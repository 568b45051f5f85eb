"""A model's training, as it remembers it: its class names, how they and the clips were presented, and which clips.

A checkpoint carries it, so that whoever uses the model need not remember, and cannot measure it on its own lesson
without being told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

FrameRule = Literal["sparse", "dense", "time"]  # by which frames are chosen: `video.sample`
FRAME_RULES: tuple[FrameRule, ...] = get_args(FrameRule)

# A clip by the content of its file (`data.seen`) and its seconds in it; infinity for the end of the file.
CLIP = np.dtype([("file", "<u8"), ("start", "<f4"), ("end", "<f4")])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers that make scores mean what they say: `temperature` divides logits, and from the scores `thresholds` on a
    label is right with `target_precision`. Fitted on `clips` clips of the list `data`.
    """

    temperature: float
    thresholds: Mapping[str, float]
    target_precision: float
    clips: int
    data: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises ValueError, TypeError or KeyError where the values are none that `asdict` gives."""
        found = cls(
            float(values["temperature"]),
            {str(label): float(value) for label, value in dict(values["thresholds"]).items()},
            float(values["target_precision"]),
            int(values["clips"]),
            str(values.get("data", "")),
        )
        if not 0 < found.temperature < math.inf or not all(0 <= value <= 1 for value in found.thresholds.values()):
            raise ValueError("its calibration has a temperature or thresholds that are none; calibrate again")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """`labels`: the classes, by index. `template` was put around each of them, or `descriptions` stood in its place,
    and frames were drawn by the rule `sampling`.

    `init` names the weights that training began with, and `init_weights` is their `weights.saving.fingerprint`.
    `clips`, of dtype `CLIP`, (N,), sorted: those that the weights learned from, and those that `init` had learned from.
    `calibration` came after training; training further forgets it.
    """

    labels: tuple[str, ...] = ()
    template: str = "{}"
    descriptions: Mapping[str, tuple[str, ...]] | None = None
    sampling: FrameRule = "sparse"
    init: str | None = None
    init_weights: str | None = None
    clips: NDArray[np.void] | None = None
    calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """All but the clips, ready for JSON; `from_dict` reads it back."""
        said = None if self.descriptions is None else {label: list(text) for label, text in self.descriptions.items()}
        return {
            "labels": list(self.labels),
            "template": self.template,
            "descriptions": said,
            "sampling": self.sampling,
            "init": self.init,
            "init_weights": self.init_weights,
            **({} if self.calibration is None else {"calibration": asdict(self.calibration)}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], clips: NDArray[np.void] | None = None) -> Self:
        """Raises ValueError or TypeError where the values are none that `to_dict` gives."""
        labels, said = values["labels"], values.get("descriptions")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"its labels are {labels!r}; expected a list of names")
        if (sampling := values.get("sampling", "sparse")) not in FRAME_RULES:
            raise ValueError(f"its sampling is {sampling!r}; known are {', '.join(FRAME_RULES)}")
        return cls(
            labels=tuple(labels),
            template=values.get("template", "{}"),
            descriptions=None if said is None else {label: tuple(text) for label, text in said.items()},
            sampling=sampling,
            init=values.get("init"),
            init_weights=values.get("init_weights"),
            clips=clips,
            calibration=None if (found := values.get("calibration")) is None else Calibration.from_dict(found),
        )

    def in_words(self) -> str:
        """The difference from a model that was taught nothing of its own; "" for nothing.

        >>> Taught(("yoga", "golf"), "a video of {}", sampling="dense").in_words()
        "2 labels, template 'a video of {}', dense frames"
        """
        found = [f"{len(self.labels)} labels"] if self.labels else []
        if self.descriptions is not None:
            found.append("their descriptions")
        if self.template != "{}":
            found.append(f"template {self.template!r}")
        if self.sampling != "sparse":
            found.append(f"{self.sampling} frames")
        if self.calibration is not None:
            count = len(self.calibration.thresholds)
            found.append(f"temperature {self.calibration.temperature:.3g} and thresholds of {count} labels")
        return ", ".join(found)
