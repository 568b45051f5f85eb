"""From a recipe to a trained model, in one process or several; Ctrl-C and SIGTERM let it finish its step and save."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import distributed as dist

from crossframe.distributed import Processes
from crossframe.processes import launched
from crossframe.recipes.load import check_unchanged, longer, with_sources
from crossframe.recipes.schema import FileData, Recipe
from crossframe.train.build import build_loop, build_model, set_drop_path
from crossframe.train.checkpoint import RunFolder, save_state
from crossframe.train.launch import check_processes, launch, with_precision
from crossframe.train.loop import DivergedError, Loop
from crossframe.train.memory import drawn_texts, estimate_memory, told_when_full
from crossframe.train.objective import begin_bias, pretrained_source
from crossframe.train.progress import Bar, Meter, progress_bar
from crossframe.train.source import FileSource, Scores, TrainingSource, build_source, read_clip_files
from crossframe.weights import load, save

LOG_EVERY = 20  # steps


@dataclass(slots=True)
class Summary:
    """A run so far: its folder, steps taken, the last scores and the best, seconds, clips seen and unreadable, the
    digest of its lists of clips, and if they ever were others."""

    folder: str
    steps: int = 0
    scores: Scores = field(default_factory=Scores)
    best: Scores = field(default_factory=Scores)
    best_step: int = 0
    seconds: float = 0.0
    clips: int = 0
    unreadable: int = 0
    data: str = ""
    changed: bool = False


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    init: str | Path | None = None,
    data: str | Path | None = None,
    resume: bool = False,
    epochs: int | None = None,
) -> Summary:
    """Train by `recipe` and write everything to the folder `out`.

    `init` and `data` replace the recipe's own. With `resume`, go on from `out/last` under the recipe that the run was
    started with (other sources are refused); on a CPU the result equals, bit for bit, that of a run that was never
    interrupted. More `epochs` than it was started with extend it. Under torchrun, its processes train together; the
    result is that of one process but for rounding.

    Raises ValueError, in one line, for what does not fit together, before any clip is read, for a folder that another
    process trains into, and for a GPU whose memory is full; `DivergedError` when the loss is no longer finite;
    `TrainingStopped` after Ctrl-C, with everything saved; `LostProcessError` when another process has ended.
    """
    rank, _ = launched()
    folder = RunFolder(Path(out), writes=rank == 0)
    if resume:
        recipe = folder.recipe_to_resume()
        check_unchanged(recipe, with_sources(recipe, init, data), ("init", "data.source"))
        recipe = longer(recipe, epochs)
    else:
        recipe = with_sources(recipe, init, data)
    check_processes(recipe.train)
    with folder.held():
        return _train(recipe, folder, resume=resume)


def _train(recipe: Recipe, folder: RunFolder, *, resume: bool) -> Summary:
    """Train into a folder that no other run is trained into."""
    asked, recipe = recipe.train.precision, with_precision(recipe)
    fabric = launch(recipe.train, folder.loggers())
    processes = Processes()
    with processes.watched(), told_when_full(recipe.train):
        folder.recover()
        processes.wait()
        folder.check(resume=resume)
        run = _prepare(recipe, folder, fabric, processes, resume=resume)
        chosen = ", which is what this device is fast at" if asked == "auto" else ""
        run.opening.insert(0, f"precision: {recipe.train.precision} on {fabric.device}{chosen}")
        summary = run.to_the_end(recipe.train.test_every, recipe.train.save_every)
    if processes.world > 1:
        dist.destroy_process_group()
    return summary


def _prepare(recipe: Recipe, folder: RunFolder, fabric: Fabric, processes: Processes, *, resume: bool) -> _Run:
    """A run at its start, or where its last checkpoint left it."""
    train = recipe.train
    if train.threads is not None:
        torch.set_num_threads(train.threads)
    files = read_clip_files(recipe)
    torch.manual_seed(train.seed)
    classes, digest = (None, "") if files is None else (len(files.train.labels), files.digest())
    model = load(folder.last, device="cpu") if resume else build_model(recipe.model, recipe.init, classes)
    set_drop_path(model, recipe.model.drop_path)
    model.taught = replace(model.taught, calibration=None)  # further training makes it another model's
    if files is not None and processes.first and isinstance(recipe.data, FileData):
        model.taught = files.lesson(recipe.data, model.taught)
    state = folder.state() if resume else None
    before = Summary(str(folder.path), **(state["run"] if state else {}))
    changed = before.changed or before.data not in ("", digest if state else "")
    if changed and files is not None:
        files = files.tested_on_others(
            processes.gather(files.learned(model.taught.clips) if processes.first else [])[0]
        )
    source = build_source(recipe, model, files)
    if state and isinstance(source, FileSource):
        source = source.as_begun(state["loop"])
    if train.loss == "sigmoid" and files is not None and model.text is not None and model.logit_bias is None:
        begin_bias(model, next(source.batches(0, 1)))
    origin = pretrained_source(recipe)
    pretrained = None if origin is None else load(origin, device=fabric.device)
    run = _Run(folder, build_loop(recipe, model, source.batches_per_epoch, fabric, processes, pretrained), source)
    if processes.first and train.strategy != "fsdp":  # where each process holds a shard of the weights
        labels = drawn_texts(recipe, model) if files is None else files.train.labels
        memory = estimate_memory(recipe, model, labels, fabric.device, processes.world, pretrained)
        run.opening.append(f"memory: {memory.needs}; {memory.room}")
    if state:
        run.loop.restore(state["loop"])
        if before.data not in ("", digest):
            log.warning("the lists have other clips or labels than when the run began; it goes on with these")
    run.summary = replace(before, data=digest, changed=changed)
    if not resume:
        folder.check_room(*run.loop.sizes())
    if not resume or recipe != folder.recipe_to_resume():  # a new run, or one that was extended
        folder.begin(recipe, fabric)
    return run


class _Run:
    """The loop of a run with its logs, tests, checkpoints and summary."""

    def __init__(self, folder: RunFolder, loop: Loop, source: TrainingSource) -> None:
        self.folder = folder
        self.loop = loop
        self.source = source
        self.summary = Summary(str(folder.path))
        self.opening: list[str] = []  # lines before the first step

    def to_the_end(self, test_every: int, save_every: int | None) -> Summary:
        """Train until the schedule ends. Each epoch ends with a checkpoint, every `test_every` with a test before."""
        schedule, summary = self.loop.schedule, self.summary
        meter, started = Meter(), time.perf_counter() - summary.seconds
        first = schedule.batches_of(self.loop.next_step).start if self.loop.next_step < schedule.steps else 0
        batches = self.source.batches(first, schedule.epochs * schedule.batches)
        shown = self.loop.processes.first
        with stop_signal() as stopping, progress_bar(self.loop.next_step, schedule.steps, shown=shown) as bar:
            for line in self.opening:
                bar.say(line)
            for report in self.loop.run(batches, stopping):
                meter.add(report)
                done = report.step + 1
                summary.clips += report.clips
                summary.unreadable += report.unreadable
                summary.seconds = time.perf_counter() - started
                epoch_ends, ends = done % schedule.steps_per_epoch == 0, done == schedule.steps
                saves = epoch_ends or report.stopping or (save_every is not None and done % save_every == 0)
                if done % LOG_EVERY == 0 or saves:
                    self._log(meter, bar, done)
                if ends or (epoch_ends and done // schedule.steps_per_epoch % test_every == 0):
                    self._test(bar, done)
                if saves:
                    self._save(self.folder.last)
                if report.stopping and not ends:
                    raise TrainingStopped(f"stopped after step {done} of {schedule.steps}; go on with --resume")
        summary.steps, summary.seconds = self.loop.next_step, round(summary.seconds, 1)
        self.folder.end(asdict(summary))
        return summary

    def _log(self, meter: Meter, bar: Bar, done: int) -> None:
        try:
            values = meter.read()
        except DivergedError as error:
            saved = self.folder.last
            remedy = f"go on from {saved} with" if saved.is_dir() else "start again with"
            raise DivergedError(
                f"{error} within the {LOG_EVERY} steps before step {done}; {remedy} a lower train.rates.base, "
                "a longer warm-up or train.clip_norm=1"
            ) from None
        bar.show(done, values)
        groups = [group for optimizer in self.loop.optimizers for group in optimizer.param_groups]
        self.loop.fabric.log_dict(values | {"rate": max(group["lr"] for group in groups)}, done)

    def _test(self, bar: Bar, done: int) -> None:
        with self.loop.final_model() as model:
            scores = self.source.test(model)
        self.summary.scores = scores
        if not scores:
            return
        self.loop.fabric.log_dict({f"test/{name}": value for name, value in scores.items()}, done)
        bar.say(f"step {done}: " + "  ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        first, best = next(iter(scores)), self.summary.best
        if not best or scores[first] >= best[first]:
            self.summary.best, self.summary.best_step = scores, done
            self._save(self.folder.best, resumable=False)

    def _save(self, target: Path, *, resumable: bool = True) -> None:
        # the folder may be moved, and the loop keeps the step
        run = {name: value for name, value in asdict(self.summary).items() if name not in ("folder", "steps")}
        state = {"loop": self.loop.state(), "run": run} if resumable else None
        with self.loop.final_model() as model:

            def write(empty: Path) -> None:
                save(model, empty)
                if state is not None:
                    save_state(state, empty)

            self.folder.save(target, write)
        self.loop.processes.wait()


log = logging.getLogger(__name__)


class TrainingStopped(Exception):  # noqa: N818 - nothing went wrong
    """The run was asked to stop, has saved its state, and can be resumed."""


@contextmanager
def stop_signal() -> Generator[Callable[[], bool]]:
    """Inside, the first Ctrl-C or SIGTERM only makes the yielded function return True; a later Ctrl-C stops at once.

    SIGTERM may come twice: from a scheduler that ends every process, and from torchrun or `timeout`, which pass it on.
    """
    seen: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if not seen:
            log.warning("stopping after this step; Ctrl-C to stop without saving")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)

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
