"""A scene is everything a clip shows, as plain data.

Lengths are shares of the frame's short side, and (0, 0) to (1, 1) is the square in the middle of the frame, where
things happen: a center crop loses nothing. What the caption names has a color of `looks.COLORS`. Props are never
named, may have any color and may move; they differ from what is named in color and in shape, so that no caption of
another thing is true by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossframe.shapes import actions
from crossframe.shapes.background import Background
from crossframe.shapes.looks import RGB, Look
from crossframe.shapes.motion import Motion


@dataclass(frozen=True, slots=True)
class Thing:
    """A shape in the picture: its name, its color, where it is in the middle of its motions, and the motions."""

    look: Look
    color: RGB
    size: float  # diameter
    x: float
    y: float
    angle: float = 0.0
    width: float = 1.0  # how much wider than usual: people do not draw every triangle with equal sides
    stroke: float = 0.0  # how thick the line of a hollow thing is; 0: filled
    motions: tuple[Motion, ...] = ()
    turns_to: RGB | None = None  # the color it has where the pose's mix is 1


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera's own changes: a shaking hand (`shake`, the largest shift) and grain (standard deviation, of 255)."""

    shake: float = 0.0
    speed: tuple[float, float] = (1.0, 1.0)
    phase: tuple[float, float] = (0.0, 0.0)
    grain: float = 0.0
    seed: int = 0  # of the grain
    soft_edges: bool = True


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How the clip is written to a file."""

    width: int
    height: int
    fps: int
    num_frames: int
    quality: int  # H.264's constant rate factor: smaller is better


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole clip. `partner` and `new_color` complete the sentences of all actions, also of those not shown."""

    action: str
    target: Thing
    partner: Look
    new_color: str
    background: Background
    camera: Camera
    format: VideoFormat
    other: Thing | None = None  # the partner, where the action takes two
    props: tuple[Thing, ...] = ()
    backwards: bool = False  # time runs from the end to the start, for everything in the scene


def reverse(scene: Scene) -> Scene:
    """The same frames in the opposite order, under the name of the opposite action."""
    if scene.action == "turning":
        raise ValueError(
            "'turning' in reverse starts from another color, so it has no reversed scene of the same thing"
        )
    return replace(scene, action=actions.opposite(scene.action), backwards=not scene.backwards)
