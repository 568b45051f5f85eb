"""From a recipe to a folder with `recipe.yaml`, `environment.json`, `summary.json`, `logs/`, `last/` and `best/`."""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

import crossframe
from crossframe.data.atomic import replacing
from crossframe.model.xclip import XCLIP
from crossframe.recipes.load import dump_recipe, load_recipe
from crossframe.recipes.schema import FileData, Recipe, Train
from crossframe.train.average import AveragedWeights
from crossframe.train.build import build_model, set_drop_path
from crossframe.train.checkpoint import load_state, recover, replace_folder, save_state
from crossframe.train.learner import Learner, Sentences
from crossframe.train.loop import DivergedError, Loop
from crossframe.train.mixing import Mixing
from crossframe.train.optimizer import Rates, base_for, build_optimizers, freeze
from crossframe.train.pictures import Pictures
from crossframe.train.progress import Bar, Meter, progress_bar
from crossframe.train.schedule import Schedule
from crossframe.train.source import Scores, Source, open_source, read_films
from crossframe.video.augment import Augment
from crossframe.weights import load, save

log = logging.getLogger(__name__)

LOG_EVERY = 20  # steps
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"float32": "32-true", "bfloat16": "bf16-mixed"}


class TrainingStopped(Exception):  # noqa: N818 - nothing went wrong
    """The run was asked to stop, has saved where it is, and can go on."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went: its folder, steps taken, the last scores and the best, seconds, clips seen and unreadable."""

    folder: str
    steps: int
    scores: Scores
    best: Scores
    best_step: int
    seconds: float
    clips: int
    unreadable: int


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    init: str | Path | None = None,
    data: str | Path | None = None,
    resume: bool = False,
) -> Summary:
    """Train as `recipe` says and leave everything in the folder `out`.

    `init` and `data` take the place of the recipe's own. With `resume`, go on from `out/last`, under the recipe that
    the run was started with; the result is the same, to the last bit, as that of a run that was never interrupted.

    Raises ValueError, in one line, for what does not fit together, before any clip is read; `DivergedError` when the
    loss is not a number any more; `TrainingStopped` after Ctrl-C, with everything saved.
    """
    out = Path(out)
    last = out / "last"
    recover(last)
    if resume:
        if not last.is_dir():
            raise ValueError(f"{out} has no checkpoint 'last' to go on from; start without --resume")
        recipe = load_recipe(out / "recipe.yaml")
    elif last.is_dir():
        raise ValueError(f"{out} holds a run already; give another folder, or --resume to go on with it")
    else:
        recipe = _with(recipe, init, data)
    if recipe.train.threads is not None:
        torch.set_num_threads(recipe.train.threads)
    films = read_films(recipe)
    torch.manual_seed(recipe.train.seed)
    classes = None if films is None else len(films.train.labels)
    model = load(last, device="cpu") if resume else build_model(recipe.model, recipe.init, classes)
    set_drop_path(model, recipe.model.drop_path)
    source = open_source(recipe, model, films)
    fabric = Fabric(
        accelerator="auto",
        devices=1,
        precision=PRECISIONS[recipe.train.precision],
        loggers=_loggers(out),
    )
    loop = _prepare(recipe, model, source, fabric)
    run = _Run(out, loop, source)
    if resume:
        state = load_state(last)
        loop.restore(state["loop"])
        run.restore(state["run"])
    else:
        _write(out / "recipe.yaml", dump_recipe(recipe))
        _write(out / "environment.json", _json(environment(fabric)))
    return run.to_the_end(recipe.train.test_every, recipe.train.save_every)


def _prepare(recipe: Recipe, model: XCLIP, source: Source, fabric: Fabric) -> Loop:
    """Everything that a step needs, on its device."""
    asked = recipe.train
    fresh = () if recipe.model.image_encoder is None else ("vision.projection",)
    freeze(model, vision="vision" in asked.learn, text="text" in asked.learn, fresh=fresh)
    rates = asked.rates.model_dump()
    rates["base"] = rates["base"] or base_for(model.config.vision.width)
    model.to(fabric.device)
    optimizers = build_optimizers(model, Rates(**rates), fresh)
    learner, *wrapped = fabric.setup(Learner(model), *optimizers)
    return Loop(
        fabric=fabric,
        learner=learner,
        model=model,
        optimizers=wrapped,
        schedule=Schedule(asked.epochs, source.batches, asked.warmup_epochs, asked.accumulate, asked.official),
        pictures=_pictures(recipe.train, model),
        sentences=Sentences(model),
        average=None if asked.average is None else AveragedWeights(model, asked.average),
        smoothing=asked.label_smoothing,
        clip_norm=asked.clip_norm,
        seed=asked.seed,
    )


def _pictures(asked: Train, model: XCLIP) -> Pictures:
    augment = None if asked.augment is None else Augment(**asked.augment.model_dump(), official=asked.official)
    mixing = None if asked.mix is None else Mixing(**asked.mix.model_dump())
    return Pictures(model, augment, mixing, asked.seed)


class _Run:
    """A loop with its folder: logs, tests, checkpoints, the summary."""

    def __init__(self, out: Path, loop: Loop, source: Source) -> None:
        self.out = out
        self.loop = loop
        self.source = source
        self.scores: Scores = {}
        self.best: Scores = {}
        self.best_step = 0
        self.clips = 0
        self.unreadable = 0
        self.seconds = 0.0

    def to_the_end(self, test_every: int, save_every: int | None) -> Summary:
        """Train until the schedule ends. Each epoch ends with a checkpoint, every `test_every` with a test before."""
        schedule = self.loop.schedule
        meter, started = Meter(), time.perf_counter() - self.seconds
        first = schedule.batches_of(self.loop.next_step).start if self.loop.next_step < schedule.steps else 0
        lessons = self.source.lessons(first, schedule.epochs * schedule.batches)
        with stop_signal() as stopping, progress_bar(self.loop.next_step, schedule.steps) as bar:
            for report in self.loop.run(lessons):
                meter.add(report)
                done = report.step + 1
                self.clips += report.clips
                self.unreadable += report.unreadable
                self.seconds = time.perf_counter() - started
                epoch_ends, ends = done % schedule.steps_per_epoch == 0, done == schedule.steps
                saves = epoch_ends or stopping() or (save_every is not None and done % save_every == 0)
                if done % LOG_EVERY == 0 or saves:
                    self._log(meter, bar, done)
                if ends or (epoch_ends and done // schedule.steps_per_epoch % test_every == 0):
                    self._test(bar, done)
                if saves:
                    self._save(self.out / "last")
                if stopping() and not ends:
                    raise TrainingStopped(f"stopped after step {done} of {schedule.steps}; go on with --resume")
        summary = self._summary()
        _write(self.out / "summary.json", _json(asdict(summary)))
        return summary

    def _log(self, meter: Meter, bar: Bar, done: int) -> None:
        try:
            values = meter.read()
        except DivergedError as error:
            saved = self.out / "last"
            remedy = f"go on from {saved} with" if saved.is_dir() else "start again with"
            raise DivergedError(
                f"{error} within the {LOG_EVERY} steps before step {done}; {remedy} a lower train.rates.base, "
                "a longer warm-up or train.clip_norm=1"
            ) from None
        bar.show(done, values)
        groups = [group for optimizer in self.loop.optimizers for group in optimizer.param_groups]
        self.loop.fabric.log_dict(values | {"rate": max(group["lr"] for group in groups)}, done)

    def _test(self, bar: Bar, done: int) -> None:
        with self._final_weights():
            self.scores = self.source.test(self.loop.model)
        if not self.scores:
            return
        self.loop.fabric.log_dict({f"test/{name}": value for name, value in self.scores.items()}, done)
        bar.say(f"step {done}: " + "  ".join(f"{name} {value:.3f}" for name, value in self.scores.items()))
        first = next(iter(self.scores))
        if not self.best or self.scores[first] >= self.best[first]:
            self.best, self.best_step = self.scores, done
            self._save(self.out / "best", resumable=False)

    def _save(self, folder: Path, *, resumable: bool = True) -> None:
        def write(target: Path) -> None:
            with self._final_weights():
                save(self.loop.model, target)
            if resumable:
                save_state({"loop": self.loop.state(), "run": self.state()}, target)

        replace_folder(folder, write)

    @contextmanager
    def _final_weights(self) -> Generator[None]:
        """Inside, the model has the weights that are tested and saved: the averaged ones, where there are any."""
        if self.loop.average is None:
            yield
        else:
            with self.loop.average.applied():
                yield

    def _summary(self) -> Summary:
        return Summary(
            str(self.out),
            self.loop.next_step,
            self.scores,
            self.best,
            self.best_step,
            round(self.seconds, 1),
            self.clips,
            self.unreadable,
        )

    def state(self) -> dict[str, Any]:
        """What the next process needs to know of this one."""
        names = ("scores", "best", "best_step", "clips", "unreadable", "seconds")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        for name, value in state.items():
            setattr(self, name, value)


@contextmanager
def stop_signal() -> Generator[Callable[[], bool]]:
    """Inside, the first Ctrl-C or SIGTERM only sets what the yielded function tells; the second one stops at once."""
    seen: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        log.warning("stopping after this step; once more to stop without saving")

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    except ValueError:  # not the main thread, which alone may handle signals
        pass
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def environment(fabric: Fabric) -> dict[str, Any]:
    """What a result depends on beside the recipe."""
    device = fabric.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "crossframe": crossframe.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
        "device": f"{device.type}: {name}",
        "processes": fabric.world_size,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _with(recipe: Recipe, init: str | Path | None, data: str | Path | None) -> Recipe:
    changes: dict[str, Any] = {}
    if init is not None:
        changes["init"] = str(init)
    if data is not None:
        if not isinstance(recipe.data, FileData):
            raise ValueError(f"recipe '{recipe.name}' draws its own data; leave out {data}")
        changes["data"] = recipe.data.model_copy(update={"source": str(data)})
    return recipe.model_copy(update=changes)


def _loggers(out: Path) -> list[Logger]:
    folder = out / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return [CSVLogger(folder, name="csv", flush_logs_every_n_steps=1), TensorBoardLogger(folder, name="tensorboard")]


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as target:
        target.write_text(text, encoding="utf-8")
