"""The paper's experiments: all resolve, none is listed twice, and each kind trains in its tiny variant."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTModel

import crossframe
from crossframe.recipes.load import load_recipe
from crossframe.recipes.paper import ABLATIONS, Experiment, experiments
from crossframe.recipes.schema import Augment, FileData, Mix
from crossframe.train import run
from crossframe.train.build import from_scratch
from crossframe.weights import list_models
from tests.video.clips import write_clip

COLOURS = {"blushing": (220, 40, 40), "growing": (40, 200, 40), "freezing": (40, 40, 220)}


def kind(experiment: Experiment) -> tuple[str, ...]:
    """What tells one tiny training from another: neither the size of the weights nor the number of clips.

    An ablation is trained once, and so is each recipe without one.
    """
    plain = ("data.shots=", "model.frames=8", "model.frames=16")
    changes = tuple(change for change in experiment.changes if not change.startswith(plain))
    return changes or (experiment.recipe,)


ONE_OF_EACH_KIND = {kind(run): run for run in reversed(experiments())}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of each class to train on, told apart by their colour."""
    folder = tmp_path_factory.mktemp("clips")
    for label, colour in COLOURS.items():
        (folder / label).mkdir()
        for number in range(2):
            frames = np.random.default_rng(number).integers(0, 30, (6, 32, 32, 3)) + np.array(colour)
            write_clip(folder / label / f"{number}.mp4", frames=frames.astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def words_and_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a tiny recipe has in the place of CLIP, made once."""
    folder = tmp_path_factory.mktemp("clip") / "model"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        crossframe.save(from_scratch(load_recipe("k400", tiny=True).model), folder)
    return folder


@pytest.fixture(scope="module")
def image_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image encoder that knows no words, of the tiny recipes' size."""
    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ViTModel(ViTConfig(**sizes, image_size=32, patch_size=16)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("experiment", experiments(), ids=lambda run: run.command)
def test_every_experiment_resolves_as_its_command_says(experiment: Experiment) -> None:
    words = shlex.split(experiment.command)
    assert words[:3] == ["crossframe", "train", experiment.recipe]
    changes = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    recipe = load_recipe(experiment.recipe, changes)
    assert changes == list(experiment.changes)
    assert isinstance(recipe.data, FileData)
    assert not changes or recipe.model_copy(update={"name": ""}) != load_recipe(experiment.recipe)
    start = experiment.init or recipe.init
    assert start in {source.name for source in list_models()}
    assert any(digit.isdigit() for digit in experiment.result)


def test_no_experiment_is_listed_twice() -> None:
    runs = experiments()
    assert len({(run.recipe, run.init, run.changes) for run in runs}) == len(runs)
    assert len({run.command.rpartition("--out ")[2] for run in runs}) == len(runs)
    numbers = [n for line in ABLATIONS for n in (line.zero, line.few, line.full) if n is not None]
    assert len(numbers) == len([run for line in ABLATIONS for run in line.experiments()])


def test_recipes_say_what_the_paper_says() -> None:
    full, zero, few = (load_recipe(name) for name in ("k400", "zero-shot", "ucf101-few-shot"))
    assert [r.train.epochs for r in (full, zero, few)] == [30, 10, 50]
    assert [r.train.batch_size for r in (full, zero, few)] == [256, 256, 64]
    assert [r.train.rates.base for r in (full, zero, few)] == [8e-6, 8e-6, 2e-6]
    assert [r.model.frames for r in (full, zero, few)] == [8, 32, 32]
    for recipe in (full, zero, few):
        rates, train = recipe.train.rates, recipe.train
        assert (rates.new, rates.final, rates.weight_decay) == (10, 0.01, 0.001)
        assert (rates.betas, rates.eps) == ((0.9, 0.98), 1e-8)
        assert (train.augment, train.mix) == (Augment(), Mix())
        assert (train.warmup_epochs, train.label_smoothing, train.learn) == (5, 0.1, ("vision",))


@pytest.mark.parametrize("experiment", ONE_OF_EACH_KIND.values(), ids=lambda run: f"{run.recipe} {run.name}")
def test_tiny_variants_learn(
    experiment: Experiment,
    clips: Path,
    words_and_pictures: Path,
    image_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "LOG_EVERY", 1)
    changes = [
        f"model.image_encoder={image_encoder}" if change.startswith("model.image_encoder") else change
        for change in experiment.changes
    ]
    recipe = load_recipe(experiment.recipe, changes, tiny=True)
    summary = run.train(recipe, tmp_path, init=words_and_pictures, data=clips)
    (log,) = (tmp_path / "logs" / "csv").glob("*/metrics.csv")
    with log.open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(losses) == summary.steps
    assert sum(losses[-4:]) < 0.97 * sum(losses[:4])
    config = crossframe.load(tmp_path / "last").config
    assert config.num_frames == recipe.model.frames
    assert config.vision.mixing == recipe.model.mixing
    assert (config.mit is None) == (recipe.model.mit_layers == 0)
    assert (config.prompts is None) == (recipe.model.prompt_layers == 0 or recipe.model.linear_head)
    assert config.num_classes == (3 if recipe.model.linear_head else None)
    assert torch.isfinite(torch.tensor(losses)).all()
