"""The difficulties that make a scene more than a plain drawing, by name, to tell accuracies apart by them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossframe.shapes import looks
from crossframe.shapes.motion import Motion, pose_at
from crossframe.shapes.scene import Scene

PLAIN = "plain"  # none of the others


def factors(scene: Scene) -> tuple[str, ...]:
    """The names of `FACTORS` that this scene has; `PLAIN` alone if it has none."""
    return tuple(name for name, present in _PRESENT.items() if present(scene)) or (PLAIN,)


def _moves_little(motion: Motion, shape: str) -> bool:
    match motion.kind:
        case "glide":
            return motion.amount < 0.25
        case "grow":
            return motion.amount < 1.6
        case "circle":
            return motion.amount < 0.15
        case "spin":
            return motion.amount < np.radians(looks.SYMMETRY[shape] or 360)
        case "bounce":
            return motion.amount < 0.2
        case _:
            return False


def _part_of_the_clip(scene: Scene) -> tuple[float, float]:
    """When the target moves, in shares of the clip as it is seen."""
    spans = [
        (1 - motion.stop, 1 - motion.start) if motion.backwards != scene.backwards else (motion.start, motion.stop)
        for motion in scene.target.motions
        if motion.kind not in ("still", "appear", "recolor")
    ]
    return min((start for start, _ in spans), default=0.0), max((stop for _, stop in spans), default=1.0)


def _largest(scene: Scene) -> float:
    return scene.target.size * float(np.max(pose_at(np.array([0.0, 1.0]), scene.target.motions).scale))


def _cut_off(scene: Scene) -> bool:
    return any(m.kind == "bounce" and (m.cycles % 1 != 0 or m.direction != 0) for m in scene.target.motions)


_PRESENT: dict[str, Callable[[Scene], bool]] = {
    "patterned background": lambda scene: scene.background.kind not in ("plain", "natural"),
    "natural background": lambda scene: scene.background.kind == "natural",
    "something still beside it": lambda scene: any(not prop.motions for prop in scene.props),
    "something moving beside it": lambda scene: any(prop.motions for prop in scene.props),
    "hollow": lambda scene: scene.target.stroke > 0,
    "black or gray": lambda scene: scene.target.look.color in ("black", "gray"),
    "tiny": lambda scene: looks.size_word(scene.target.size) == "tiny",
    "little movement": lambda scene: any(_moves_little(m, scene.target.look.shape) for m in scene.target.motions),
    "early": lambda scene: _part_of_the_clip(scene)[1] <= 0.5,
    "late": lambda scene: _part_of_the_clip(scene)[0] >= 0.5,
    "fills the frame": lambda scene: _largest(scene) > 1,
    "bounce cut off": _cut_off,
    "grain": lambda scene: scene.camera.grain > 0,
    "shaking camera": lambda scene: scene.camera.shake > 0,
}
FACTORS: tuple[str, ...] = (PLAIN, *_PRESENT)
