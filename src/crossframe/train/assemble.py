"""From a recipe and its model to a loop that is ready to run."""

from __future__ import annotations

from lightning_fabric import Fabric

from crossframe.distributed import Processes
from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Recipe, Train
from crossframe.train.average import AveragedWeights
from crossframe.train.learner import Learner
from crossframe.train.loop import Loop
from crossframe.train.mixup import Mixup
from crossframe.train.objective import build_objective
from crossframe.train.optimizer import auxiliary_optimizer, build_optimizers, freeze
from crossframe.train.schedule import Schedule
from crossframe.train.text_cache import TextCache
from crossframe.train.transform import TrainTransform
from crossframe.video.augment import Augment


def prepare_model(recipe: Recipe, model: XCLIP) -> None:
    """Freeze what the recipe does not train, and turn activation checkpointing on if it says so."""
    learn = recipe.train.learn
    freeze(model, vision="vision" in learn, text="text" in learn, fresh=_fresh(recipe))
    for tower in (model.vision, model.text):
        if tower is not None:
            tower.grad_checkpointing = recipe.train.checkpoint_blocks


def _fresh(recipe: Recipe) -> tuple[str, ...]:
    """Parameters that are new, although their names are those of pretrained ones."""
    return () if recipe.model.image_encoder is None else ("vision.projection",)


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
    # After setup_module, which may shard the parameters: optimisers must hold the shards.
    optimizers = build_optimizers(model, train.rates, _fresh(recipe))
    objective = build_objective(train, model, learner, fabric.autocast, pretrained)
    if objective.residual is not None:
        optimizers.append(auxiliary_optimizer(objective.residual, train.rates, model.config.vision.width))
    schedule = Schedule(train.epochs, batches, train.warmup_epochs, train.accumulate, train.official)
    return Loop(
        fabric=fabric,
        model=model,
        objective=objective,
        optimizers=optimizers,
        schedule=schedule,
        transform=_transform(train, model, processes),
        texts=TextCache(model),
        average=_average(train, model, schedule),
        clip_norm=train.clip_norm,
        seed=train.seed,
        processes=processes,
    )


def _average(train: Train, model: XCLIP, schedule: Schedule) -> AveragedWeights | None:
    if train.average is None:
        return None
    if train.average == "epochs":
        return AveragedWeights(model, None, every=schedule.steps_per_epoch)
    return AveragedWeights(model, train.average)


def _transform(train: Train, model: XCLIP, processes: Processes) -> TrainTransform:
    augment = None if train.augment is None else Augment(**train.augment.model_dump(), official=train.official)
    mixup = None if train.mix is None else Mixup(**train.mix.model_dump())
    return TrainTransform(model, augment, mixup, train.seed, processes)
