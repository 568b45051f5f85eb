"""Every family expands and learns from drawn clips: the whole step, with the family's own words and images."""

from __future__ import annotations

import pytest
import torch
from lightning_fabric import Fabric
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

import crossframe
from crossframe.data.drawn import Clips, Stills, vocabulary
from crossframe.distributed import Processes
from crossframe.model.config import ModelConfig
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import load_recipe, recipe_names
from crossframe.text.conventions import Conventions, FamilyTokenizer
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.build import build_loop, build_model
from crossframe.train.memory import estimate_memory, multiply_accumulates
from tests.model.tiny_families import FAMILIES

STEPS = 12
CONTEXT = 48


def words(config: ModelConfig) -> Tokenizer:
    """A tokenizer of the family's kind for the drawn world."""
    assert config.text is not None
    conventions = {
        "end": Conventions("whitespace", 0, 2, 1),
        "last": Conventions("canonicalize", None, 1, 1),
        "mean": Conventions("lower", None, None, 0),
    }.get(config.text.read)
    if conventions is None:
        return Tokenizer.train(vocabulary(), 700, CONTEXT)
    known = sorted({word for text in vocabulary() for word in text.lower().split()})
    ids = {word: index for index, word in enumerate(["<pad>", "</s>", "</s2>", "<unk>", *known])}
    backend = Backend(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return FamilyTokenizer(backend, CONTEXT, conventions)


def expanded(family: str) -> XCLIP:
    torch.manual_seed(4)
    plain = FAMILIES[family]
    tokenizer = words(plain)
    values = plain.to_dict()
    values["text"] |= {"vocab_size": tokenizer.vocab_size, "context_length": CONTEXT}
    size = plain.vision.image_size
    config = ModelConfig.from_dict(values)
    return crossframe.expand(XCLIP(config, tokenizer=tokenizer, preprocess=Preprocess(size, size)), 4)


@pytest.mark.parametrize(("family", "loss"), [*((family, "softmax") for family in FAMILIES), ("SigLIP", "sigmoid")])
def test_it_learns_from_drawn_clips(family: str, loss: str) -> None:
    model = expanded(family)
    changes = ["train.batch_size=8", f"train.epochs={STEPS}", "train.warmup_epochs=2", f"train.loss={loss}"]
    changes += ["train.rates.base=2e-3", "train.rates.new=1.0", "train.rates.muon=null", "train.learn=[vision,text]"]
    recipe = load_recipe("shapes", changes, tiny=True)
    batch = Clips("train", 0, 8, model.config.vision.image_size, 4).batch(0)
    loop = build_loop(recipe, model, 1, Fabric(accelerator="cpu", devices=1), Processes())
    losses = [report.loss for report in loop.run(iter([batch] * STEPS))]
    assert losses[-1] < 0.8 * losses[0], losses


@pytest.mark.parametrize("family", ["CLIP", "SigLIP"])
@pytest.mark.parametrize("recipe", [name for name in recipe_names() if "pretrain" in name or "siglip" in name])
def test_encoders_of_either_family_learn_from_nothing_and_expand(recipe: str, family: str) -> None:
    changes = ["train.batch_size=16", "train.epochs=4", "train.warmup_epochs=1", f"model.towers.family={family}"]
    spec = load_recipe(recipe, changes)
    model = build_model(spec.model, None, None)
    assert model.config.logit_bias == (family == "SigLIP")
    batch = Stills("train", 0, 16, model.config.vision.image_size).batch(0)
    loop = build_loop(spec, model, 1, Fabric(accelerator="cpu", devices=1), Processes())
    losses = [report.loss for report in loop.run(iter([batch] * 4))]
    assert losses[-1] < losses[0]
    assert crossframe.expand(model, 4).config.num_frames == 4


@pytest.mark.parametrize("family", FAMILIES)
def test_its_cost_is_known_without_computing_it(family: str) -> None:
    model = expanded(family)
    recipe = load_recipe("shapes", ["train.batch_size=4", "train.learn=[vision,text]"], tiny=True)
    estimate = estimate_memory(recipe, model, ["a red circle moves left", "a blue square grows"], torch.device("cpu"))
    assert estimate.batch.total > estimate.one.total > 0
    assert multiply_accumulates(model.to("meta"), 2) > 0
