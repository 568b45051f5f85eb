"""The model that a recipe asks for, from weights or from scratch, and the loop that trains it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from crossframe.data.drawn import vocabulary
from crossframe.distributed import Processes
from crossframe.inference import choose_precision
from crossframe.model.config import ModelConfig, PoolConfig, TextConfig, VisionConfig, variant
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Model, Recipe, Start, Towers, Train, Variant
from crossframe.taught import Taught
from crossframe.text.tokenizer import Tokenizer
from crossframe.train.loop import Learner, Loop, TextCache
from crossframe.train.objective import build_objective
from crossframe.train.optimizer import AveragedWeights, LossScale, auxiliary_optimizer, build_optimizers, freeze
from crossframe.train.schedule import Schedule
from crossframe.train.transform import TrainTransform
from crossframe.weights import expand, list_models, load, replace_vision
from crossframe.weights.saving import fingerprint
from crossframe.weights.sources import BEST, IMAGES_AND_TEXTS, LAST, PLAIN_CLIP

GRID_AMPLITUDE = 0.5
GRID_BASE = 100.0  # the longest wave, in patches, over two pi


def build_model(spec: Model, init: str | None, num_classes: int | None = None) -> XCLIP:
    """The model of a recipe, its new parts untrained, from the weights `init` or from random towers.

    `num_classes`: of a linear head. Draws from torch's random generator.
    """
    given = from_scratch(spec) if init is None else _load(init)
    if init is not None and spec.towers is not None and (size := _size(given.config)) != _size(spec.towers):
        raise ValueError(
            f"{init} has {_describe_size(size)}, and model.towers asks for {_describe_size(_size(spec.towers))}; "
            "give weights of that size, or leave out model.towers"
        )
    weights = None if init is None else fingerprint(given)
    if spec.image_encoder is not None:
        given = replace_vision(given, spec.image_encoder)
    model = _expand(spec, given, num_classes, fresh=init is None)
    if init is not None:
        model.taught = Taught(init=init, init_weights=weights, clips=given.taught.clips)
    return model


def _load(init: str) -> XCLIP:
    path = Path(init)
    if path.name in (LAST, BEST) and not path.exists():  # recipes may name an earlier run
        raise ValueError(f"there is no {init} to start from; train it first, or give other weights with --init")
    return load(init, device="cpu")


def meta_model(spec: Model, init: str | None, num_classes: int | None = None) -> XCLIP:
    """The same model on the meta device, without fetching anything from the hub.

    Published weights are known by their variant, and an image encoder that is not on this disk is taken to be like the
    one it replaces.
    """
    given = None if init is None else meta_weights(init)
    with torch.device("meta"):
        given = given or from_scratch(spec)
        if spec.image_encoder is not None and Path(spec.image_encoder).expanduser().exists():
            given = replace_vision(given, spec.image_encoder)
        return _expand(spec, given, num_classes, fresh=init is None)


def meta_weights(source: str) -> XCLIP:
    """The model of these weights on the meta device; CLIP's and X-CLIP's of the hub are not fetched."""
    known = next((known for known in list_models() if known.name == source and known.kind == "hub"), None)
    if known is None or known.data == IMAGES_AND_TEXTS:
        return _load(source).to("meta")
    with torch.device("meta"):
        if known.data == PLAIN_CLIP:
            return from_scratch(Model(towers=cast("Variant", known.variant)))
        config = variant(known.variant, known.frames)
        return XCLIP(config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.xclip(config.vision.image_size))


def _expand(spec: Model, given: XCLIP, num_classes: int | None, *, fresh: bool) -> XCLIP:
    video = given.config if given.config.mit or given.config.prompts else None
    known_time = spec.mixing == "cross_frame" and given.config.vision.message_frames > 0
    model = expand(
        given,
        _first(spec.frames, video and video.num_frames, 8),
        mixing=spec.mixing,
        message_time=known_time if spec.message_time is None else spec.message_time,
        mit_layers=_first(spec.mit_layers, video and (video.mit.layers if video.mit else 0), 1),
        prompt_layers=_first(spec.prompt_layers, video and (video.prompts.layers if video.prompts else 0), 2),
        learned_vectors=spec.learned_vectors,
        num_classes=num_classes if spec.linear_head else None,
    )
    _initialize(model, spec.start, fresh=fresh, trained={name for name, _ in given.named_parameters()})
    set_drop_path(model, spec.drop_path)
    return model


def _size(of: ModelConfig | Towers | str) -> tuple[int, ...]:
    """Picture, patch, width and layers of the image encoder, and the width of the embedding."""
    if isinstance(of, Towers):
        return of.image_size, of.patch_size, of.width, of.layers, of.embed_dim
    config = variant(of) if isinstance(of, str) else of
    vision = config.vision
    return vision.image_size, vision.patch_size, vision.width, vision.layers, config.embed_dim


def _describe_size(size: tuple[int, ...]) -> str:
    return "pictures of {}, patches of {}, width {}, {} layers, embeddings of {}".format(*size)


def _first(wanted: int | None, given: int | None, paper: int) -> int:
    """The recipe's number, else that of the weights, else the paper's."""
    return next(value for value in (wanted, given, paper) if value is not None)


def from_scratch(spec: Model) -> XCLIP:
    """A language-image model with random weights; towers of one's own get a vocabulary of the generated world."""
    if spec.towers is None or isinstance(spec.towers, str):
        paper = variant(spec.towers or "B/16")
        config = replace(paper, vision=replace(paper.vision, mixing="none"), num_frames=1, mit=None, prompts=None)
        size = config.vision.image_size
        return XCLIP(config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.clip(size))
    own: Towers = spec.towers
    tokenizer = Tokenizer.train(vocabulary(), own.vocab_size, own.context_length)
    vision = VisionConfig(
        image_size=own.image_size,
        patch_size=own.patch_size,
        width=own.width,
        layers=own.layers,
        heads=own.heads,
        mlp_width=4 * own.width,
        activation=own.activation,
        mixing="none",
    )
    text = TextConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=own.context_length,
        width=own.text_width,
        layers=own.text_layers,
        heads=own.text_heads,
        mlp_width=4 * own.text_width,
        activation=own.activation,
    )
    preprocess = Preprocess(own.image_size, own.image_size)
    config = ModelConfig(vision, text, own.embed_dim, 1)
    if own.family == "SigLIP":
        config = _as_siglip(config, end_id=tokenizer.vocab_size - 1)
    return XCLIP(config, tokenizer=tokenizer, preprocess=preprocess)


def _as_siglip(config: ModelConfig, end_id: int) -> ModelConfig:
    """A CLIP's config with what tells a SigLIP from it, in the same sizes and with the same words."""
    vision, text = config.vision, config.text
    bare = replace(
        vision,
        pre_norm=False,
        patch_bias=True,
        class_token="none",
        pool=PoolConfig(vision.heads, vision.mlp_width),
        projection="none",
        message_from="patches",
    )
    both = None if text is None else replace(text, causal=False, read="last", end_id=end_id, projection="biased")
    return replace(config, vision=bare, text=both, logit_bias=True)


def set_drop_path(model: XCLIP, rate: float) -> None:
    """Stochastic depth for the image encoder."""
    model.vision.set_drop_path(rate)
    model.config = replace(model.config, vision=model.vision.config)


@torch.no_grad()
def _initialize(model: XCLIP, start: Start, *, fresh: bool, trained: Collection[str]) -> None:
    """Initialize what is not pretrained: everything if `fresh`, else parameters not among the `trained`."""
    if fresh:
        model.logit_scale.fill_(torch.tensor(start.logit_scale).log())
        if start.positions == "grid":
            vision, position = model.config.vision, model.vision.position
            first = int(vision.class_token == "placed")
            position[first:] = GRID_AMPLITUDE * _grid_positions(vision.grid, vision.width)
            nn.init.normal_(position[:first], std=0.02)
    if model.mit is not None and "mit.position" not in trained:
        nn.init.normal_(model.mit.position, std=start.time_std)
    if model.prompts is not None and "prompts.patch_projection" not in trained:
        width = model.config.vision.width
        nn.init.normal_(model.prompts.patch_projection, std=start.prompt_std or width**-0.5)


def _grid_positions(grid: int, width: int) -> Tensor:
    """(grid * grid, width): sines and cosines of the row in one half of the channels, of the column in the other."""
    if width % 4:
        raise ValueError(f"a grid of positions needs a width that is a multiple of 4, not {width}")
    frequencies = GRID_BASE ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(grid).unsqueeze(1) * frequencies  # (grid, width / 4)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, width / 2)
    rows, columns = waves.repeat_interleave(grid, dim=0), waves.repeat(grid, 1)
    return torch.cat([rows, columns], dim=1)


def prepare_model(recipe: Recipe, model: XCLIP) -> None:
    """Freeze what the recipe does not train, and turn activation checkpointing on if it says so."""
    learn = recipe.train.learn
    freeze(model, vision="vision" in learn, text="text" in learn, fresh=_fresh(recipe))
    for tower in (model.vision, model.text):
        if tower is not None:
            tower.grad_checkpointing = recipe.train.checkpoint_blocks


def _fresh(recipe: Recipe) -> tuple[str, ...]:
    """Parameters that are new, although their names are those of pretrained ones: the bias of a sigmoid loss too, where
    weights of a softmax have none."""
    found = () if recipe.model.image_encoder is None else ("vision.projection",)
    return (*found, "logit_bias") if recipe.train.loss == "sigmoid" and recipe.data.kind == "files" else found


def build_loop(
    recipe: Recipe, model: XCLIP, batches: int, fabric: Fabric, processes: Processes, pretrained: XCLIP | None = None
) -> Loop:
    """Everything that a step needs, on its device, for epochs of `batches` batches.

    `pretrained`: the weights of `train.objective.pretrained_source`, on the same device.
    """
    train = recipe.train
    prepare_model(recipe, model)
    model.to(fabric.device)
    learner = fabric.setup_module(Learner(model))
    # After setup_module, which may shard the parameters: optimizers must hold the shards.
    optimizers = build_optimizers(model, train.rates, _fresh(recipe))
    objective = build_objective(train, model, learner, fabric.autocast, pretrained)
    if objective.residual is not None:
        optimizers.append(auxiliary_optimizer(objective.residual, train.rates, model.config.vision.width))
    schedule = Schedule(train.epochs, batches, train.warmup_epochs, train.accumulate, train.schedule)
    return Loop(
        fabric=fabric,
        model=model,
        objective=objective,
        optimizers=optimizers,
        schedule=schedule,
        transform=TrainTransform(model, train.augment, train.mix, train.seed, processes),
        texts=TextCache(model),
        average=_average(train, model, schedule),
        clip_norm=train.clip_norm,
        seed=train.seed,
        processes=processes,
        scale=LossScale() if choose_precision(train.precision, fabric.device) == "float16" else None,
    )


def _average(train: Train, model: XCLIP, schedule: Schedule) -> AveragedWeights | None:
    if train.average is None:
        return None
    if train.average == "epochs":
        return AveragedWeights(model, None, every=schedule.steps_per_epoch)
    return AveragedWeights(model, train.average)
