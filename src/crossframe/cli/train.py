"""`crossframe train`: from a recipe to a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.processes import is_first
from crossframe.cli.shared import limit_entries, list_entries
from crossframe.data.layouts import check_there
from crossframe.files import check_writable
from crossframe.pace import counted, figure
from crossframe.weights.sources import BEST, LAST, check_source

if TYPE_CHECKING:
    from crossframe.recipes.schema import Recipe
    from crossframe.train.dry_run import DryRun, Speed
    from crossframe.train.gpus import Cluster
    from crossframe.train.run import Summary

HoldOutOption: TypeAlias = Annotated[
    float | None, Option(min=0, help="The share of undivided clips kept for testing: --set data.hold_out=.")
]
DryRunOption: TypeAlias = Annotated[
    bool, Option("--dry-run", help="Say what the run would be, its cost, memory and hours, and stop.")
]
DeviceLikeOption: TypeAlias = Annotated[
    str | None, Option(help="With --dry-run: estimate for GPUs that are not here, for instance a100x8.")
]


def train(
    recipe: Annotated[
        str | None, Argument(help="A recipe by name (see crossframe recipes), or a .yaml file; a run knows its own.")
    ] = None,
    out: Annotated[Path | None, Option(help="The run folder: checkpoints, logs and scores.")] = None,
    init: Annotated[str | None, Option(help="Weights to start from: a hub id, a folder, a file, or 'shapes'.")] = None,
    data: Annotated[str | None, Option(help="A manifest, or a folder with a folder of clips for each class.")] = None,
    changes: Annotated[list[str] | None, Option("--set", help="Change an entry: train.epochs=10; repeat it.")] = None,
    epochs: Annotated[int | None, Option(min=1, help="Short for --set train.epochs=.")] = None,
    lr: Annotated[float | None, Option(help="The learning rate: short for --set train.rates.base=.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Short for --set train.batch_size=.")] = None,
    hold_out: HoldOutOption = None,
    labels: options.ClassNames = None,
    root: options.Root = None,
    timeout: options.FileSeconds = None,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    contained: options.Contained = False,
    tiny: Annotated[bool, Option("--tiny", help="The small variant: seconds instead of hours.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on with the run in this folder, exactly.")] = False,
    dry_run: DryRunOption = False,
    device_like: DeviceLikeOption = None,
) -> None:
    """Train a model as a recipe says. Ctrl-C saves first; --resume goes on where it stopped."""
    from crossframe.recipes.load import RECIPE, load_recipe

    flags = {"train.epochs": epochs, "train.rates.base": lr, "train.batch_size": batch_size, "data.hold_out": hold_out}
    asked = [*(changes or ()), *(f"{name}={value}" for name, value in flags.items() if value is not None)]
    asked += [*list_entries(labels, root), *limit_entries(timeout, memory, most_frames, contained=contained)]
    going_on = resume and out is not None and (out / RECIPE).is_file()
    recipe = recipe or _recipe_of(out, resume=resume)
    chosen = load_recipe(recipe, asked, tiny=tiny)
    if chosen.data.kind == "files" and not going_on:  # whose data may not be named, or must be what it was
        check_there(data)
    if device_like is not None and not dry_run:
        raise typer.BadParameter("is for --dry-run", param_hint="--device-like")
    if out is None and not dry_run:
        raise typer.BadParameter("give a folder for the run", param_hint="--out")

    # after the recipe was read: what is wrong with it need not wait for torch
    like = None if device_like is None else _cluster(device_like, chosen)
    if out is not None and not dry_run:
        _check_folder(out, resume=resume)
    if init is not None and not going_on:
        check_source(init)
    if dry_run or out is None:
        _print_dry_run(chosen, init, data, like)
        return
    further = _further(out, chosen, recipe, asked, tiny=tiny) if going_on else None
    from crossframe.train.run import TrainingStopped
    from crossframe.train.run import train as run

    try:
        summary = run(chosen, out, init=init, data=data, resume=resume, epochs=further)
    except TrainingStopped as stop:
        if is_first():
            typer.echo(f"crossframe: {stop}", err=True)
        raise SystemExit(130) from None  # where typer.Exit would have "interrupted" said too
    if is_first():
        _print_result(summary, chosen, out)


def _shares(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.1%}" for name, value in scores.items())


def _print_result(summary: Summary, chosen: Recipe, out: Path) -> None:
    """Print what came of the run, and which checkpoint to use."""
    scores = _shares(summary.best)
    best = f"best after step {summary.best_step}: {scores}" if scores else "not tested, for no clips are held back"
    print(f"{summary.steps} steps in {summary.seconds:.0f} s; {best}")
    if scores and chosen.measured_where_chosen:
        last = _shares(summary.scores)
        print(f"chosen on the clips that a test is made of: the result is that of the last weights, {last}")
    if summary.unreadable:
        drawn = summary.clips + summary.unreadable
        print(f"{summary.unreadable} of {drawn} times a clip could not be read; see crossframe data verify")
    print(out / (BEST if scores and not chosen.measured_where_chosen else LAST))


def _further(out: Path, chosen: Recipe, recipe: str, asked: list[str], *, tiny: bool) -> int | None:
    """The epochs to which a run is extended, None where it is not. Anything else that differs is refused."""
    from crossframe.recipes.load import RECIPE, check_unchanged, given_entries, load_recipe

    started, explicit = load_recipe(out / RECIPE), given_entries(recipe, asked)
    free = {"train.precision"} if chosen.train.precision == "auto" else set[str]()  # the run has chosen
    extends = "train.epochs" in explicit and chosen.train.epochs > started.train.epochs
    if "train.epochs" in explicit:
        free |= {"train.warmup_epochs"} - {*explicit}  # which may have shrunk
    if extends:
        free.add("train.epochs")
    entries = given_entries(recipe, asked, tiny=tiny)
    check_unchanged(started, chosen, [entry for entry in entries if entry not in free])
    return chosen.train.epochs if extends else None


def _recipe_of(out: Path | None, *, resume: bool) -> str:
    """The recipe of the run that is to go on."""
    from crossframe.recipes.load import RECIPE

    if out is not None and (out / RECIPE).is_file() and resume:
        return str(out / RECIPE)
    missing = "name one of crossframe recipes, or go on with a run: crossframe train --resume --out RUN"
    if out is not None and resume:
        missing = f"{out} holds no run to go on with; name the recipe of a new one"
    raise typer.BadParameter(missing, param_hint="RECIPE")


def _check_folder(out: Path, *, resume: bool) -> None:
    """Raise now what the run would raise once torch is there."""
    if (out / LAST).is_dir() and not resume:
        raise ValueError(f"{out} holds a run already; give another folder, or --resume to go on with it")
    check_writable(out)


def _cluster(name: str, recipe: Recipe) -> Cluster:
    """The devices of this name; those that cannot compute as the recipe wants are refused."""
    from crossframe.train.gpus import Cluster

    cluster = Cluster.of(name)
    cluster.with_precision(recipe)
    return cluster


def _print_dry_run(recipe: Recipe, init: str | None, data: str | None, like: Cluster | None) -> None:
    """Print what a run would be, what it costs, and how long it may take; each line as soon as it is known."""
    from crossframe.train.dry_run import dry_run

    for name, value in _lines(dry_run(recipe, init, data, like)):
        print(f"{name:<11} {value}", flush=True)


def _lines(run: DryRun) -> Iterator[tuple[str, str]]:
    recipe, train, config, schedule = run.recipe, run.recipe.train, run.model.config, run.schedule
    yield "recipe", recipe.name
    yield "weights", _weights(recipe.init)
    vision = config.vision
    parts = [
        f"{vision.image_size} px, patches of {vision.patch_size}, width {vision.width}, {vision.layers} layers",
        f"{config.num_frames} frames ({vision.mixing})",
        f"multi-frame layers: {config.mit.layers if config.mit else 0}",
        f"prompt layers: {config.prompts.layers if config.prompts else 0}",
    ]
    if config.num_classes:
        parts.append(f"a linear head of {config.num_classes} classes")
    if config.text and config.text.learned_vectors:
        parts.append(f"{config.text.learned_vectors} learned vectors")
    yield "model", "; ".join(parts)
    yield "data", _data(run)
    learn = " and ".join([*train.learn, "new parts"])
    yield "learning", f"{learn}; {train.precision}; {run.learning:,} parameters learn, {run.frozen:,} are frozen"
    batches = counted(train.batch_size, "clip") + (f" x {train.accumulate}" if train.accumulate > 1 else "")
    yield "schedule", f"{schedule.epochs} epochs of {schedule.steps_per_epoch:,} steps of {batches}"
    yield "compute", f"{figure(run.macs / 1e9, 4)} billion multiply-accumulates a clip, forwards, beside the words"
    memory = run.memory()
    yield "memory", f"{memory.needs}; {memory.room}"
    yield "time", _time(run, run.speed(memory))


def _weights(init: str | None) -> str:
    from crossframe.weights.hub import is_kept
    from crossframe.weights.sources import is_hub_id, is_local

    if init is None:
        return "none: from random values"
    elsewhere = is_hub_id(init) and not is_local(init) and not is_kept(init)
    return f"{init}; not on this machine yet: the run fetches them from the hub" if elsewhere else init


def _data(run: DryRun) -> str:
    data = run.recipe.data
    if data.kind != "files":
        return f"{data.kind} of Shapes, drawn: {run.clips:,} an epoch, {len(run.labels)} sentences at a time"
    source = f"{data.source}:" if run.files else "none given, about"
    shots = f", {data.shots} of each" if data.shots else ""
    words = f"{data.sampling} frames, template '{data.template}'"
    return f"{source} {counted(run.clips, 'clip')} of {len(run.labels)} classes{shots}; {words}"


def _time(run: DryRun, speed: Speed | None) -> str:
    device = f"{run.like.count} {run.like.name}" if run.like else f"this device ({run.fabric.device})"
    if speed is None:
        return f"not known: not one clip fits into the memory of {device}"
    hours = run.hours(speed)
    days = f" ({hours / 24:,.0f} days)" if hours >= 48 else ""
    units = {"hours": hours, "minutes": 60 * hours, "seconds": 3600 * hours}
    unit, length = next(((unit, length) for unit, length in units.items() if length >= 1), ("seconds", 1.0))
    about = f"{length:,.0f}" if length >= 10 else figure(length, 2)
    how = f"from {speed.steps} steps of {counted(speed.clips, 'clip')}"
    if not speed.steps:
        how = "from published rates, of which 35% are used" if run.like else "from steps of one and two blocks"
    unit = unit.removesuffix("s") if about == "1" else unit
    return (
        f"about {about} {unit}{days} on {device}, an estimate {how}: {figure(speed.clips_per_second)} clips a second; "
        f"reading and testing not included"
    )
