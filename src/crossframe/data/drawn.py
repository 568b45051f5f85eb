"""Shapes without files: training batches drawn and rendered on the fly, with the same clips that the writer makes.

A batch is a pure function of (split, seed, number), so an interrupted run goes on with the very next one, and any
number of worker processes gives the same batches in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, degrees
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from crossframe.data.batch import Batch, Task, TrainBatch, make_task
from crossframe.processes import leave_signals_to_parent, starting_workers
from crossframe.shapes import actions, caption, looks
from crossframe.shapes.draw import sample_scene
from crossframe.shapes.render import render, sparse_times
from crossframe.shapes.scene import Scene, Thing, reverse
from crossframe.shapes.splits import Split, draw, index_among, is_held_out, parse

Topic = Literal["caption", "look", "place", "size", "tilt", "spot"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
TILTS = ("upright", "turned clockwise", "turned over", "turned anticlockwise")  # quarters of a shape's symmetry


def vocabulary() -> Iterator[str]:
    """Every text of these tasks, for a tokenizer to learn from."""
    yield from caption.corpus()
    for texts in _CANDIDATES.values():
        yield from texts


@dataclass(frozen=True, slots=True)
class Stills:
    """Batches for language-image pretraining in miniature: single frames, and a task for each of `topics`.

    `caption` matches frames and captions of a batch in both directions, as CLIP does; each of the others classifies one
    property among a closed list of texts.
    """

    split: str
    seed: int
    batch_size: int
    size: int  # of a frame's sides, in pixels
    topics: tuple[Topic, ...] = TOPICS
    nuisance: float = 1.0
    process: tuple[int, int] = (0, 1)

    def batch(self, number: int) -> TrainBatch:
        """Batch `number`: this process's share B of `batch_size` frames, (B, 1, 3, S, S)."""
        first = number * self.batch_size
        indices = range(first, first + self.batch_size)
        rng = _batch_rng(self.split, self.seed, number)
        scenes = [draw(self.split, self.seed, index, nuisance=self.nuisance) for index in indices]
        moments = rng.random(len(scenes))
        tasks = _shared([_task(topic, scenes, moments, rng) for topic in self.topics], self.process)
        mine = range(len(scenes))[_share(self.process)]
        frames = [render(scenes[i], self.size, times=moments[i : i + 1]) for i in mine]
        return TrainBatch(_as_batch(frames, tasks, [indices[i] for i in mine]), tasks)


@dataclass(frozen=True, slots=True)
class Clips:
    """Batches for video: clips, and one task among all sentences that could be true of any of them.

    Each object comes from one of the writer's clips. Its further clips, up to `clips_per_object`, are the same scene
    backwards, where that has a name, and scenes of other actions: with both directions side by side, only the order of
    frames tells them apart. Combinations held out for testing appear neither as clips nor as sentences, nor does any
    action that is not among `actions`.
    """

    split: str
    seed: int
    batch_size: int
    size: int  # of a frame's sides, in pixels
    num_frames: int
    clips_per_object: int = 2
    nuisance: float = 1.0
    process: tuple[int, int] = (0, 1)
    actions: tuple[str, ...] = tuple(actions.ACTIONS)

    def batch(self, number: int) -> TrainBatch:
        """Batch `number`: this process's share B of `batch_size` clips, (B, T, 3, S, S).

        Each frame shows a random moment of its part of the clip.
        """
        rng = _batch_rng(self.split, self.seed, number)
        objects = ceil(self.batch_size / self.clips_per_object)
        groups = [self._object(number * objects + i, rng) for i in range(objects)]
        scenes = [scene for group in groups for scene in group][: self.batch_size]
        times = [sparse_times(self.num_frames, rng) for _ in scenes]
        possible = [text for group in groups for text in _sentences(group[0], self.actions).values()]
        truths = [caption.sentence(scene) for scene in scenes]
        tasks = _shared([make_task("sentence", [[truth] for truth in truths], [*possible, *truths])], self.process)
        first = number * self.batch_size
        mine = range(len(scenes))[_share(self.process)]
        clips = [render(scenes[i], self.size, times=times[i]) for i in mine]
        return TrainBatch(_as_batch(clips, tasks, [first + i for i in mine]), tasks)

    def _object(self, index: int, rng: Generator) -> list[Scene]:
        index = index_among(parse(self.split), self.actions, index)
        scenes = [draw(self.split, self.seed, index, nuisance=self.nuisance)]
        look = scenes[0].target.look
        names = list(_sentences(scenes[0], self.actions))
        while len(scenes) < self.clips_per_object:
            if len(scenes) % 2 and _reversible(scenes[-1].action, self.actions):
                scenes.append(reverse(scenes[-1]))
            else:
                action = names[rng.integers(len(names))]
                scenes.append(sample_scene(rng, action=action, look=look, nuisance=self.nuisance))
        return scenes


Drawn: TypeAlias = Stills | Clips


def read_batches(drawn: Drawn, numbers: range, *, workers: int = 0) -> Iterator[TrainBatch]:
    """The batches of these numbers in order, drawn ahead by `workers` processes."""
    loader = DataLoader(
        _Numbered(drawn),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        worker_init_fn=_prepare_worker,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # it seeds its workers, and must not draw that from everybody's generator
    )
    with starting_workers():
        return iter(loader)


class _Numbered(Dataset[TrainBatch]):
    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def __getitem__(self, number: int) -> TrainBatch:
        return self.drawn.batch(number)


def _prepare_worker(_number: int) -> None:
    leave_signals_to_parent()


def _batch_rng(split: str, seed: int, number: int) -> Generator:
    """For what a batch draws beside its scenes, which have generators of their own."""
    part = list(Split).index(parse(split))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(part, number, 1)))


def _as_batch(frames: Sequence[NDArray[np.uint8]], tasks: Sequence[Task], indices: Sequence[int]) -> Batch:
    pixels = torch.from_numpy(np.stack(frames))  # (B, T, 3, S, S)
    share, first = tasks[0].targets.max(dim=1)  # (B,)
    return Batch(pixels, first.where(share > 0, -1), torch.tensor(indices))


def _share(process: tuple[int, int]) -> slice:
    """The rows of a batch that belong to a process (rank, world), as in `crossframe.data.loader`."""
    rank, world = process
    return slice(rank, None, world)


def _shared(tasks: Sequence[Task], process: tuple[int, int]) -> tuple[Task, ...]:
    """The tasks of a process's own clips."""
    return tuple(replace(task, targets=task.targets[_share(process)]) for task in tasks)


def _reversible(action: str, among: Sequence[str]) -> bool:
    """True if the frames in reverse order show another action, one of those that may be shown."""
    return actions.opposite(action) != action and actions.opposite(action) in among


def _sentences(scene: Scene, among: Sequence[str]) -> dict[str, str]:
    """The sentences that training may say of the scene's object, by action."""
    shown = [action for action in among if not is_held_out(scene.target.look, action)]
    return caption.all_sentences(scene, shown)


def _task(topic: Topic, scenes: Sequence[Scene], moments: NDArray[np.float64], rng: Generator) -> Task:
    if topic == "caption":
        captions = [[caption.frame_caption(s, float(t), rng)] for s, t in zip(scenes, moments, strict=True)]
        return replace(make_task(topic, captions), symmetric=True)
    things = [[scene.target] if scene.other is None else [scene.target, scene.other] for scene in scenes]
    true = [[text for thing in pair if (text := _describe(topic, thing)) is not None] for pair in things]
    return make_task(topic, true, _CANDIDATES[topic])


def _describe(topic: Topic, thing: Thing) -> str | None:
    """The text of a topic that is true of a still thing; None where it cannot be seen."""
    shape = thing.look.shape
    match topic:
        case "look":
            return caption.named(thing.look)
        case "place":
            return caption.place_words(thing.x, thing.y)
        case "spot":  # actions of two things need to know which of them is where
            return f"something {thing.look.color} {caption.place_words(thing.x, thing.y)}"
        case "size":
            return f"a {looks.size_word(thing.size)} {shape}"
        case "tilt":
            symmetry = looks.SYMMETRY[shape]
            if symmetry is None:
                return None
            return f"a {shape} {TILTS[int((degrees(thing.angle) / symmetry + 0.125) % 1 * len(TILTS))]}"
        case "caption":
            return None


_CANDIDATES: dict[Topic, tuple[str, ...]] = {
    "look": tuple(caption.named(look) for look in looks.LOOKS),
    "place": tuple(words for row in caption.PLACES for words in row),
    "spot": tuple(f"something {c} {words}" for c in looks.COLORS for row in caption.PLACES for words in row),
    "size": tuple(f"a {size} {shape}" for size in looks.SIZES for shape in looks.SHAPES),
    "tilt": tuple(f"a {shape} {tilt}" for shape in looks.TURNABLE for tilt in TILTS),
}
