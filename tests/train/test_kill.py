"""A run that is killed with SIGKILL, at any moment and again and again, ends with the weights of one that was not."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from crossframe.recipes.load import load_recipe
from crossframe.recipes.schema import Recipe
from crossframe.train.checkpoint import load_state
from tests.data.dataset import write_dataset
from tests.train.many import Kill, Outcome, together, train_and_tell

EVENTS = 200  # accesses to the folder of the whole run, about


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Clips in files, a checkpoint after every step and in the middle of epochs, and everything that it must keep."""
    folder = write_dataset(tmp_path_factory.mktemp("filmed") / "clips")
    small = json.dumps(asdict(load_recipe("shapes", tiny=True).model.towers))
    changes = ["init=null", f"model.towers={small}", "model.frames=2", "model.drop_path=0.2", f"data.source={folder}"]
    changes += ["train.epochs=3", "train.warmup_epochs=1", "train.batch_size=2", "train.accumulate=2", "train.mix={}"]
    changes += ["train.augment={}", "train.average=0.9", "train.rates.muon=1e-3", "train.save_every=1"]
    return load_recipe("finetune", ["data.hold_out=0", *changes, "train.threads=1"], tiny=True)


def kept(out: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint and what it keeps for resuming, by name."""
    tensors = load_file(out / "last" / "model.safetensors")
    loop = load_state(out / "last")["loop"]
    for number, optimizer in enumerate(loop["optimizers"]):
        for place, values in optimizer["state"].items():
            tensors |= {f"{number}/{place}/{name}": torch.as_tensor(value) for name, value in values.items()}
    return tensors | loop["weights"] | {f"mean/{name}": mean for name, mean in loop["average"]["mean"].items()}


def same(first: Path, second: Path) -> bool:
    one, two = kept(first), kept(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def killed_until_done(recipe: Recipe, out: Path, world: int, kills: list[Kill]) -> list[list[Outcome]]:
    """Start a run, kill a process of it at each of these moments, and go on each time; then let it end."""
    chance = random.Random(world)
    history: list[list[Outcome]] = []
    for kill in kills:
        moments = [kill if rank == chance.randrange(world) else None for rank in range(world)]
        history.append(together(train_and_tell, recipe, out, world=world, kill=moments))
    history.append(together(train_and_tell, recipe, out, world=world))
    return history


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    (outcome,) = together(train_and_tell, recipe, out)
    assert (outcome.code, len(outcome.value["losses"])) == (0, 9)
    return out


def test_killed_twice_it_ends_with_the_same_weights(recipe: Recipe, whole: Path, tmp_path: Path) -> None:
    history = killed_until_done(recipe, tmp_path, 1, [Kill(event=70), Kill(step=5)])
    assert [run[0].code for run in history] == [-9, -9, 0]
    assert 0 < len(history[-1][0].value["losses"]) < 9
    assert same(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments_it_ends_with_the_same_weights(
    seed: int, recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    by_event = [Kill(event=chance.randint(1, EVENTS)) for _ in range(3)]
    by_time = [Kill(seconds=chance.uniform(0.1, 1.0)) for _ in range(3)]
    history = killed_until_done(
        recipe, tmp_path, 1, [kill for pair in zip(by_event, by_time, strict=True) for kill in pair]
    )
    assert history[-1][0].code == 0, history[-1][0].words
    assert -9 in [run[0].code for run in history]
    assert same(tmp_path, whole)


@pytest.mark.slow
def test_two_processes_killed_at_random_moments_end_with_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    together(train_and_tell, recipe, tmp_path / "whole", world=2)
    chance = random.Random(7)
    kills = [Kill(step=chance.randrange(8)) for _ in range(2)] + [Kill(seconds=chance.uniform(0.3, 1.0))]
    history = killed_until_done(recipe, tmp_path / "killed", 2, kills)
    assert [outcome.code for outcome in history[-1]] == [0, 0], history[-1]
    assert -9 in [outcome.code for run in history for outcome in run]
    assert same(tmp_path / "killed", tmp_path / "whole")
