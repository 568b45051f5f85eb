"""The parts of a run put together as its recipe says."""

from __future__ import annotations

from lightning_fabric import Fabric

from crossframe.model.xclip import XCLIP
from crossframe.recipes.schema import Recipe, Train
from crossframe.train.average import AveragedWeights
from crossframe.train.build import keep_to_pretrained
from crossframe.train.learner import Learner, Sentences
from crossframe.train.loop import Loop
from crossframe.train.mixing import Mixing
from crossframe.train.objective import Objective
from crossframe.train.optimizer import beside, build_optimizers, freeze
from crossframe.train.pictures import Pictures
from crossframe.train.processes import Processes
from crossframe.train.schedule import Schedule
from crossframe.video.augment import Augment


def set_up(recipe: Recipe, model: XCLIP) -> None:
    """Stop the parameters that do not learn under this recipe, and have blocks computed again if it says so."""
    learn = recipe.train.learn
    freeze(model, vision="vision" in learn, text="text" in learn, fresh=_fresh(recipe))
    for tower in (model.vision, model.text):
        if tower is not None:
            tower.recompute = recipe.train.checkpoint_blocks


def _fresh(recipe: Recipe) -> tuple[str, ...]:
    """Parameters that are new although their names are those of pretrained ones."""
    return () if recipe.model.image_encoder is None else ("vision.projection",)


def build_loop(
    recipe: Recipe, model: XCLIP, batches: int, fabric: Fabric, processes: Processes, pretrained: XCLIP | None = None
) -> Loop:
    """Everything that a step needs, on its device, for epochs of so many batches.

    `pretrained` are the weights that training must stay near (`train.build.stays_near`), on the same device.
    """
    asked = recipe.train
    set_up(recipe, model)
    model.to(fabric.device)
    learner = fabric.setup_module(Learner(model))
    # After it may have divided the parameters, or the optimisers would change what is no longer there.
    optimizers = build_optimizers(model, asked.rates, _fresh(recipe))
    objective = Objective(model, learner, asked.label_smoothing, fabric.autocast)
    if pretrained is not None:
        objective.interpolation, objective.distillation = keep_to_pretrained(asked, model, pretrained)
    if objective.residual is not None:
        optimizers.append(beside(objective.residual, asked.rates, model.config.vision.width))
    schedule = Schedule(asked.epochs, batches, asked.warmup_epochs, asked.accumulate, asked.official)
    return Loop(
        fabric=fabric,
        model=model,
        objective=objective,
        optimizers=optimizers,
        schedule=schedule,
        pictures=_pictures(asked, model, processes),
        sentences=Sentences(model),
        average=_average(asked, model, schedule),
        clip_norm=asked.clip_norm,
        seed=asked.seed,
        processes=processes,
    )


def _average(asked: Train, model: XCLIP, schedule: Schedule) -> AveragedWeights | None:
    if asked.average is None:
        return None
    if asked.average == "epochs":
        return AveragedWeights(model, None, every=schedule.steps_per_epoch)
    return AveragedWeights(model, asked.average)


def _pictures(asked: Train, model: XCLIP, processes: Processes) -> Pictures:
    augment = None if asked.augment is None else Augment(**asked.augment.model_dump(), official=asked.official)
    mixing = None if asked.mix is None else Mixing(**asked.mix.model_dump())
    return Pictures(model, augment, mixing, asked.seed, processes)
