"""Long videos of things that happen one after the other, with gaps, overlaps and cuts: when each happens is known.

A few things, each with an action of its own, are the cast of a data set. A video is a row of shots, each before a
background of its own; in a shot, members of the cast come, do what they do for a second or for many, and go. A longer
event repeats its action at the pace of the short one, so that any two seconds of it look like a clip of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from numpy.random import Generator

from crossframe.files import replacing, write_text
from crossframe.shapes import caption, splits
from crossframe.shapes.draw import background_for, sample_scene
from crossframe.shapes.listing import take_up, write_rows
from crossframe.shapes.looks import Look
from crossframe.shapes.motion import Motion
from crossframe.shapes.render import Pixels, Times, render_stage
from crossframe.shapes.scene import Scene, Thing
from crossframe.shapes.splits import Split, split_looks
from crossframe.video.media import x264_options

MANIFEST = "events.csv"
LABELS = "labels.txt"
COLUMNS: tuple[str, ...] = ("path", "start", "end", "label", "split")
CAST = 6
FPS = 12
SIDE = 128
QUALITY = 24  # H.264's constant rate factor
PACE = 2.0  # seconds in which an action is shown once
CHUNK = 48  # frames drawn at a time
SHOT = (12.0, 40.0)  # seconds
EVENT = (1.0, 12.0)
BRIEF = 3.0  # what an event lasts at most that cannot go on for longer
GAP = (0.5, 8.0)
OVERLAPS = 0.12  # of events begin before the one before them ends
_REPEATED = ("spinning clockwise", "spinning anticlockwise", "circling clockwise", "circling anticlockwise")
_SUSTAINED = (*_REPEATED, "bouncing", "shaking", "blinking")
_BRIEF = ("moving left", "moving right", "moving up", "moving down", "growing", "shrinking")


@dataclass(frozen=True, slots=True)
class Part:
    """A member of the cast: a look and what it does."""

    look: Look
    action: str

    @property
    def label(self) -> str:
        """The sentence that says it."""
        return f"{caption.named(self.look)} {self.action}"


@dataclass(frozen=True, slots=True)
class Event:
    """A thing in action from `start` until `end`, in seconds."""

    label: str
    start: float
    end: float
    thing: Thing


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch of a video before one background."""

    start: float
    end: float
    scene: Scene  # of which what stands still is shown
    events: tuple[Event, ...]


def draw_cast(seed: int, count: int = CAST) -> list[Part]:
    """Things that differ in color and action, half of them with an action that can go on for long."""
    rng = np.random.default_rng((seed, 0))
    names = [*_shuffled(rng, _SUSTAINED)[: count - count // 3], *_shuffled(rng, _BRIEF)[: count // 3]]
    cast: list[Part] = []
    for name in names:
        free = [look for look in split_looks(Split.TRAIN, name) if look.color not in {p.look.color for p in cast}]
        cast.append(Part(free[int(rng.integers(len(free)))], name))
    return cast


def draw_shots(cast: list[Part], seed: int, index: int, seconds: float) -> Iterator[Shot]:
    """Video `index`, shot after shot: the same for everyone who uses the same seed."""
    start = 0.0
    number = 0
    while start < seconds:
        rng = np.random.default_rng((seed, 1, index, number))
        end = start + rng.uniform(*SHOT)
        end = seconds if end > seconds - SHOT[0] else end
        yield _draw_shot(rng, cast, round(start, 3), round(end, 3))
        start, number = round(end, 3), number + 1


def _draw_shot(rng: Generator, cast: list[Part], start: float, end: float) -> Shot:
    members = [cast[place] for place in rng.permutation(len(cast))[:3]]
    scenes = {
        m: sample_scene(rng, action=m.action, look=m.look, size="medium", nuisance=0, beside=False) for m in members
    }
    things = {member: scene.target for member, scene in scenes.items()}
    background = background_for(rng, [thing.color for thing in things.values()], 0.5)
    scene = replace(scenes[members[0]], background=background)
    events: list[Event] = []
    now = start + rng.uniform(*GAP)
    while True:
        member = members[int(rng.integers(len(members)))]
        most = EVENT[1] if member.action in _SUSTAINED else BRIEF
        length = float(np.exp(rng.uniform(np.log(EVENT[0]), np.log(most))))
        if events and rng.random() < OVERLAPS and member.label != events[-1].label:
            now = max(events[-1].end - min(length, events[-1].end - events[-1].start) * rng.uniform(0.2, 0.6), start)
        if now + length > end - 0.2:
            break
        thing = replace(things[member], motions=tuple(_lasting(m, length) for m in things[member].motions))
        begin, stop = round(now * FPS) / FPS, round((now + length) * FPS) / FPS
        events.append(Event(member.label, round(begin, 3), round(stop, 3), thing))
        now = max(event.end for event in events) + rng.uniform(*GAP)
    return Shot(start, end, scene, tuple(events))


def _lasting(motion: Motion, length: float) -> Motion:
    """The same motion, from the beginning to the end of an event; one that can goes on at its usual pace."""
    times = max(length / PACE, 1.0) if motion.kind in ("spin", "circle", "bounce", "shake", "blink") else 1.0
    amount = motion.amount * times if motion.kind == "spin" else motion.amount
    return replace(motion, amount=amount, cycles=motion.cycles * times, start=0.0, stop=1.0, eased=False)


def frames_of(shot: Shot, side: int = SIDE, fps: int = FPS) -> Iterator[Pixels]:
    """The frames of a shot, a bounded number at a time, uint8 (n, 3, H, W)."""
    first, last = round(shot.start * fps), round(shot.end * fps)
    for begin in range(first, last, CHUNK):
        seconds = np.arange(begin, min(begin + CHUNK, last)) / fps
        within = (seconds - shot.start) / (shot.end - shot.start)
        things: list[tuple[Thing, Times]] = []
        for event in shot.events:
            moments = (seconds + 0.5 / fps - event.start) / (event.end - event.start)
            here = (moments >= 0) & (moments < 1)
            if here.any():
                things.append((event.thing, np.where(here, moments, np.nan)))
        yield render_stage(shot.scene, things, within, side)


def write_long(path: Path, shots: Iterator[Shot], *, side: int = SIDE, fps: int = FPS) -> list[Event]:
    """Write the shots as one H.264 .mp4, whole or not at all; returns its events in order."""
    events: list[Event] = []
    with replacing(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=x264_options(QUALITY))
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for shot in shots:
            events += shot.events
            for frames in frames_of(shot, side, fps):
                for pixels in np.ascontiguousarray(frames.transpose(0, 2, 3, 1)):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return sorted(events, key=lambda event: (event.start, event.end))


def render_long(
    out: str | Path,
    split: str,
    videos: int,
    seconds: float,
    seed: int = 0,
    *,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write `videos` long videos to `out/SPLIT/`, their events to `out/events.csv`, which is returned, and the labels
    of all to `out/labels.txt`.

    The list has the columns path, start, end, label and split; events of other splits stay in it. All videos of a seed
    have the same cast.

    Raises:
        ValueError: a length that is none, or files of somebody else are in `out`.
        OSError: the folder cannot be written.
    """
    part = splits.parse(split)
    if not seconds >= SHOT[0]:
        raise ValueError(f"{seconds:g} seconds are too few for a long video; give {SHOT[0]:g} or more")
    out = Path(out)
    rows = take_up(out / MANIFEST, COLUMNS, split, f"{split}/long-*.mp4", LABELS)
    cast = draw_cast(seed)
    offset = list(Split).index(part) << 20
    for index in range(videos):
        path = out / split / f"long-{index:03d}.mp4"
        for event in write_long(path, draw_shots(cast, seed, offset + index, seconds)):
            values = (path.relative_to(out).as_posix(), f"{event.start:.12g}", f"{event.end:.12g}", event.label, split)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        if progress is not None:
            progress(index + 1)
    write_text(out / LABELS, "".join(f"{member.label}\n" for member in cast))
    return write_rows(out / MANIFEST, COLUMNS, rows)


def _shuffled(rng: Generator, names: tuple[str, ...]) -> list[str]:
    return [names[place] for place in rng.permutation(len(names))]
