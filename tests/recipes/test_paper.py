"""The paper's experiments: all resolve, none is listed twice, and each kind trains in its tiny variant."""

from __future__ import annotations

import csv
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTModel

import crossframe
from crossframe.model.config import variant
from crossframe.model.preprocess import Preprocess
from crossframe.recipes.load import load_recipe
from crossframe.recipes.paper import ABLATIONS, HEADLINE, Experiment, experiments
from crossframe.recipes.schema import FileData
from crossframe.train import run
from crossframe.train.build import build_model, from_scratch, meta_model
from crossframe.video.draws import Augment
from crossframe.video.mixing import Mixup
from crossframe.weights import list_models
from tests.video.clips import write_clip

COLORS = {"blushing": (220, 40, 40), "growing": (40, 200, 40), "freezing": (40, 40, 220)}


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
    """Two clips of each class to train on, told apart by their color."""
    folder = tmp_path_factory.mktemp("clips")
    for label, color in COLORS.items():
        (folder / label).mkdir()
        for number in range(2):
            frames = np.random.default_rng(number).integers(0, 30, (6, 32, 32, 3)) + np.array(color)
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
    assert not changes or replace(recipe, name="") != load_recipe(experiment.recipe)
    start = experiment.init or recipe.init
    assert start in {source.name for source in list_models()}
    assert any(digit.isdigit() for digit in experiment.result)


def test_no_experiment_is_listed_twice() -> None:
    runs = experiments()
    assert len({(run.recipe, run.init, run.changes) for run in runs}) == len(runs)
    assert len({run.command.rpartition("--out ")[2] for run in runs}) == len(runs)
    numbers = [n for line in ABLATIONS for n in (line.zero, line.few, line.full) if n is not None]
    assert len(numbers) == len([run for line in ABLATIONS for run in line.experiments()])


@pytest.mark.parametrize(
    ("name", "frames", "epochs", "batch", "rate", "classes", "protocol"),
    [
        ("k400", 8, 30, 256, 8e-6, 400, ("val", 4, 3)),
        ("k600", 8, 30, 256, 8e-6, 600, ("val", 4, 3)),
        ("zero-shot", 32, 10, 256, 8e-6, 400, ("test", 1, 1)),
        ("hmdb51-few-shot", 32, 50, 64, 2e-6, 51, ("test", 1, 1)),
        ("ucf101-few-shot", 32, 50, 64, 2e-6, 101, ("test", 1, 1)),
    ],
)
def test_recipes_say_what_the_paper_says(
    name: str, frames: int, epochs: int, batch: int, rate: float, classes: int, protocol: tuple[str, int, int]
) -> None:
    recipe = load_recipe(name)
    train, data = recipe.train, recipe.data
    assert isinstance(data, FileData)
    assert (recipe.init, recipe.model.frames) == ("openai/clip-vit-base-patch16", frames)
    assert (train.epochs, train.warmup_epochs, train.batch_size, train.accumulate) == (epochs, 5, batch, 1)
    rates = {"base": rate, "new": 10, "text": 1, "final": 0.01, "weight_decay": 0.001}
    assert asdict(train.rates) == {**rates, "betas": (0.9, 0.98), "eps": 1e-8, "muon": None}
    assert train.augment == Augment((1, 0.875, 0.75, 0.66), flip=0.5, jitter=0.8, gray=0.2, flicker=True)
    assert train.mix == Mixup(mixup=0.8, cutmix=1.0, switch=0.5, group=8)
    assert (train.label_smoothing, train.learn, recipe.model.drop_path) == (0.1, ("vision",), 0)
    assert (train.clip_norm, train.average, train.interpolate, train.distill, train.schedule) == (
        *[None] * 4,
        "authors",
    )
    assert (data.classes, data.shots) == (classes, 2 if "few" in name else None)
    assert (data.train_split, data.sampling, data.template, data.descriptions) == ("train", "sparse", "{}", None)
    assert ((*recipe.test.splits, recipe.test.views, recipe.test.crops), recipe.test.precision) == (protocol, "float32")


@pytest.mark.parametrize(("size", "frames"), [("B/32", 16), ("B/16", 8), ("L/14", 8), ("L/14@336", 16)])
def test_recipes_build_the_papers_models(size: str, frames: int) -> None:
    (experiment,) = [one for one in HEADLINE if one.recipe == "k400" and one.name == f"{size}, {frames} frames"]
    recipe = load_recipe("k400", experiment.changes)
    model = meta_model(recipe.model, experiment.init or recipe.init)
    side = 336 if "336" in size else 224
    assert (model.config, model.preprocess) == (variant(size, frames), Preprocess(side, side * 256 // 224))
    assert recipe.train.checkpoint_blocks == (side == 336)


def test_every_ablation_sees_the_same_pictures(words_and_pictures: Path, tmp_path: Path) -> None:
    """ImageNet's colors and a larger short side, which the authors' one pipeline makes for every line of a table."""
    clip = crossframe.load(words_and_pictures)
    clip.preprocess, clip.config = Preprocess.clip(32), replace(clip.config, num_frames=8)  # as CLIP is loaded
    crossframe.save(clip, tmp_path)
    recipes = [load_recipe(experiment.recipe, experiment.changes) for experiment in experiments()]
    asked = {str(recipe.model): recipe.model for recipe in recipes if recipe.model.image_encoder is None}
    assert len(asked) > 9
    for entries, model in asked.items():
        pictures = build_model(model, str(tmp_path), 51).preprocess
        assert pictures == Preprocess(32, 36, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), entries


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
    changes += ["train.epochs=16", "train.batch_size=6"]  # every clip in every step: losses can be compared
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
