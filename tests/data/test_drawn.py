"""Batches drawn from the generated world: the same for everyone, with true answers, and without what is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossframe.data.batch import TrainBatch
from crossframe.data.drawn import Clips, Drawn, Stills, read_batches, vocabulary
from crossframe.shapes import actions, caption
from crossframe.shapes.looks import LOOKS
from crossframe.shapes.render import render, sparse_times
from crossframe.shapes.splits import draw, is_held_out
from crossframe.text.tokenizer import Tokenizer

STILLS = Stills("stills", 0, 8, 32)
CLIPS = Clips("train", 0, 6, 32, 4, clips_per_object=2)


def same(first: TrainBatch, second: TrainBatch) -> bool:
    pixels = torch.equal(first.clips.videos, second.clips.videos)
    pairs = zip(first.tasks, second.tasks, strict=True)
    return pixels and all(a.texts == b.texts and torch.equal(a.targets, b.targets) for a, b in pairs)


@pytest.mark.parametrize("drawn", [STILLS, CLIPS])
def test_a_batch_depends_on_its_number_alone(drawn: Drawn) -> None:
    assert same(drawn.batch(3), drawn.batch(3))
    assert not same(drawn.batch(3), drawn.batch(4))


def test_worker_processes_give_the_same_batches_in_order() -> None:
    here = list(read_batches(STILLS, range(2, 6)))
    there = list(read_batches(STILLS, range(2, 6), workers=2))
    assert len(here) == len(there) == 4
    assert all(same(a, b) for a, b in zip(here, there, strict=True))


def test_stills_are_the_frames_of_the_split() -> None:
    batch = STILLS.batch(1)
    assert batch.clips.videos.shape == (8, 1, 3, 32, 32)
    assert batch.clips.indices.tolist() == list(range(8, 16))
    scene = draw("stills", 0, 8)
    near = render(scene, 32, times=np.array([0.5])).astype(int)
    assert np.abs(near - batch.clips.videos[0].numpy().astype(int)).mean() < 12  # but for grain and camera shake
    tasks = {task.name: task for task in batch.tasks}
    answer = tasks["look"].targets[0]
    true = {tasks["look"].texts[i] for i in answer.nonzero().flatten().tolist()}
    things = [scene.target] if scene.other is None else [scene.target, scene.other]
    assert true == {caption.named(thing.look) for thing in things}
    assert float(answer.sum()) == pytest.approx(1)


def test_only_things_that_show_how_they_are_turned_are_asked_for_it() -> None:
    asked = unasked = 0
    for number in range(4):
        batch = STILLS.batch(number)
        tilt = next(task for task in batch.tasks if task.name == "tilt")
        for index, answer in zip(batch.clips.indices.tolist(), tilt.targets, strict=True):
            scene = draw("stills", 0, index)
            things = [scene.target] if scene.other is None else [scene.target, scene.other]
            turnable = any(thing.look.shape not in ("circle", "ring") for thing in things)
            assert float(answer.sum()) == pytest.approx(float(turnable))
            asked, unasked = asked + turnable, unasked + (not turnable)
    assert asked
    assert unasked


def test_clips_come_with_their_reverse_and_one_true_sentence() -> None:
    batch = CLIPS.batch(0)
    (task,) = batch.tasks
    assert batch.clips.videos.shape == (6, 4, 3, 32, 32)
    assert task.targets.sum(dim=1).tolist() == [1.0] * 6
    said = [task.texts[int(answer.argmax())] for answer in task.targets]
    for number in range(3):
        scene = draw("train", 0, number)
        assert said[2 * number] == caption.sentence(scene)
        opposite = actions.opposite(scene.action)
        if opposite != scene.action:
            assert said[2 * number + 1] == caption.all_sentences(scene)[opposite]
    assert len(set(said)) > 3


@pytest.mark.parametrize("process", [(0, 1), (1, 2)])
@pytest.mark.parametrize("drawn", [replace(STILLS, topics=("tilt", "look"), batch_size=32), CLIPS])
def test_targets_are_the_classes_of_the_first_task(drawn: Drawn, process: tuple[int, int]) -> None:
    batch = replace(drawn, process=process).batch(2)
    answers = batch.tasks[0].targets
    expected = [int(answer.argmax()) if answer.any() else -1 for answer in answers]
    assert batch.clips.targets.tolist() == expected
    assert len(set(expected)) > 1
    assert (-1 in expected) == (drawn is not CLIPS)


def test_clips_have_the_pixels_of_the_world() -> None:
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0, 7, 1)))
    alone = Clips("train", 0, 1, 32, 4, clips_per_object=1)
    expected = render(draw("train", 0, 7), 32, times=sparse_times(4, rng))
    assert np.array_equal(alone.batch(7).clips.videos[0].numpy(), expected)


def test_what_is_held_out_is_not_even_offered() -> None:
    held_out = {
        f"{caption.named(look)} {action}"
        for look in LOOKS
        for action, known in actions.ACTIONS.items()
        if not known.couple and is_held_out(look, action)
    }
    offered = {text for number in range(20) for text in CLIPS.batch(number).tasks[0].texts}
    assert held_out
    assert not held_out & offered


def test_the_vocabulary_has_whole_words() -> None:
    tokenizer = Tokenizer.train(vocabulary(), 1024, 32)
    words = ["a", "large", "orange", "triangle", "turned", "anticlockwise", "on", "the", "left"]
    assert int((tokenizer(" ".join(words)) > 0).sum()) == len(words) + 2


def test_chosen_actions_alone_are_shown_and_offered() -> None:
    chosen = ("moving left", "growing", "shrinking")
    drawn = Clips("train", 0, 8, 32, 4, clips_per_object=4, actions=chosen)
    for number in range(4):
        (task,) = drawn.batch(number).tasks
        assert all(any(text.endswith(f" {action}") for action in chosen) for text in task.texts)
    everything = Clips("train", 0, 8, 32, 4, clips_per_object=4)
    assert same(replace(drawn, actions=tuple(actions.ACTIONS)).batch(1), everything.batch(1))
