"""Shared by several commands: the labels that were given, devices, lines of JSON, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossframe.files import check_writable, plain_json
from crossframe.text.label_files import read_label_set, read_labels
from crossframe.text.labels import LabelSet, background_texts, check_labels, escaped, humanize
from crossframe.video.given import Limits, set_limits
from crossframe.video.remote import set_cache_limit
from crossframe.weights.errors import WeightsError
from crossframe.weights.sources import check_source, is_local

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from crossframe.model.xclip import XCLIP
    from crossframe.recognizer import Recognizer

NOTHING_DONE = 2  # the exit status where not one video could be used


def set_file_limits(memory: int | None, most_frames: int | None, downloads: float | None = None) -> None:
    """Set how much each video may cost that this process reads, and those that it starts, and how many GB all
    downloads; None for the usual."""
    if downloads is not None:
        set_cache_limit(int(downloads * 1e9))
    usual = Limits()
    size = usual.memory if memory is None else memory << 20
    set_limits(Limits(usual.seconds, size, most_frames or usual.frames))


def limit_entries(
    seconds: float | None, memory: int | None, most_frames: int | None, *, contained: bool = False
) -> list[str]:
    """The same as changes of a recipe."""
    given = {"seconds": seconds, "memory": None if memory is None else memory << 20, "frames": most_frames}
    entries = [f"data.limits.{name}={value}" for name, value in given.items() if value is not None]
    return [*entries, "data.contained=true"] if contained else entries


def list_entries(labels: Path | None, root: Path | None) -> list[str]:
    """How to read a list, as changes of a recipe."""
    given = {"labels": labels, "root": root}
    return [f"data.{name}={json.dumps(str(path))}" for name, path in given.items() if path is not None]


def given_labels(given: Sequence[str], file: Path | None, clean: bool, model: str = "") -> list[str]:
    """The labels of options and of a file, checked; none where a checkpoint `model` may have its own."""
    names = [*given, *(read_labels(file) if file else [])]
    if not names and model:
        check_source(model)  # a name that is mistyped is no reason to ask for labels
        if is_local(model):
            return []
    try:
        return check_labels([humanize(name) for name in names] if clean else names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--label") from None


def own_labels(model: XCLIP, given: list[str], *, quiet: bool, background: Sequence[str] = ()) -> list[str]:
    """The labels given, or else those that the model was trained on, which are said; a linear head takes no others.

    Of the model's own, words of the `background` are none: it may have learned what nothing looks like.
    """
    from crossframe.inference import check_head

    if not quiet and (taught := model.taught.in_words()):
        print(f"crossframe: trained with {escaped(taught)}; used where nothing else is given", file=sys.stderr)
    own = [label for label in model.labels if label not in background or model.head is not None]
    names = given or given_labels(own, None, clean=False)
    check_head(model, names)
    return names


def label_set(
    model: XCLIP,
    given: list[str],
    file: Path | None,
    background: list[str] | None,
    threshold: float | None = None,
    said: object = None,
    *,
    quiet: bool,
) -> LabelSet:
    """The labels given, or the model's own, with what the file says about them, which options replace."""
    nothing = background or []
    names = own_labels(model, given, quiet=quiet, background=nothing)
    found = read_label_set(file) if file else LabelSet.of(names)
    if said and found.wordings:
        raise ValueError(f"{file} has wordings of its own; leave --descriptions out, or the wordings")
    if list(found.labels) != names:  # there are options -l too, or labels were humanized
        if found.to_dict():
            raise ValueError(f"{file} says more than labels; leave out --label and --humanize, or write them into it")
        found = LabelSet.of(names)
    if threshold is not None:
        found = replace(found, thresholds=dict.fromkeys(names, threshold))
    return replace(found, background=background_texts(nothing)) if nothing else found


def open_recognizer(
    model: str,
    device: str | None,
    workers: int | None,
    batch_size: int | None,
    timeout: float,
    **settings: Any,
) -> Recognizer:
    """A recognizer as the options of a command ask for it; `settings` are those of `Recognizer` itself.

    Raises ValueError where it can read no words, unless `words=False` is among the settings.
    """
    words = settings.pop("words", True)
    check_source(model)  # which need not wait for torch

    from crossframe.recognizer import Recognizer
    from crossframe.weights import load

    recognizer = Recognizer(load(model, device=None if device is None else choose_device(device)), **settings)
    if words and recognizer.model.text is not None and recognizer.model.tokenizer is None:
        raise ValueError(f"{model} has no tokenizer.json beside its weights; copy that of the model that it came from")
    recognizer.workers = recognizer.workers if workers is None else workers
    recognizer.batch_size, recognizer.timeout = batch_size or recognizer.batch_size, timeout
    return recognizer


def made_by(source: str, recognizer: Recognizer) -> dict[str, Any]:
    """The model and settings that produced a result."""
    from crossframe.text.labels import PLACE
    from crossframe.weights.saving import fingerprint

    return {
        "model": source,
        "weights": fingerprint(recognizer.model),
        "template": None if recognizer.template == PLACE else recognizer.template,
        "precision": recognizer.precision,
    }


def model_of(folder: Path, made_with: str, given: str | None) -> str:
    """The model of an index or an archive: as `given`, or where it was. Raises ValueError where it is there no more."""
    if given is not None:
        return given
    try:
        check_source(made_with)
    except WeightsError:
        gone = f"{folder} was made with {made_with}, which is no longer there"
        raise ValueError(f"{gone}; give --model, where it is now") from None
    return made_with


def check_new_model(out: Path) -> None:
    """Raise ValueError or OSError now where `out` cannot be a folder for a new model, or is that of another."""
    check_writable(out)
    parts = "config.json", "model.safetensors", "recipe.yaml"
    if there := next((name for name in parts if (out / name).exists()), ""):
        raise ValueError(f"{out} holds {there} of another model or run; give --out another folder")


def alarm(line: str) -> None:
    """Say on standard error, in red, what makes a number worth less than it seems."""
    typer.secho(f"crossframe: {escaped(line)}", err=True, fg="red", bold=True)


def exit_status(done: int, of: int, *, diverged: bool = False) -> int:
    """0 all, 1 some failed or a model's scores are no numbers, 2 nothing could be done."""
    return 0 if done == of else 1 if done or diverged else NOTHING_DONE


def devices() -> list[torch.device]:
    """The CPU, every CUDA GPU, and Apple's GPU."""
    import torch

    found = [torch.device("cpu")]
    found += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return found + ([torch.device("mps")] if torch.backends.mps.is_available() else [])


def choose_device(name: str) -> torch.device:
    """The device called `name`, for instance `cuda:1`; a type without a number is the first of its kind.

    Raises ValueError, which names those that there are.
    """
    import torch

    names = dict.fromkeys(name for device in devices() for name in (device.type, str(device)))
    if name not in names:
        raise ValueError(f"device '{name}' is not available here; choose {' or '.join(names)}")
    return torch.device(name)


def json_line(values: Mapping[str, Any], encoding: str) -> str:
    """An object in one line; characters are escaped where the encoding lacks one of them."""
    line = plain_json(values, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return plain_json(values)
    return line


def say_what_scores_mean(model: str, names: list[str]) -> None:
    """Say on standard error what the scores of drawn shapes, and those of one label in `names`, are worth."""
    if model == "shapes":
        print("The model 'shapes' knows only drawn shapes; --model names one for real videos.", file=sys.stderr)
    if len(names) == 1:
        others = "repeat -l, since commas divide no labels" if "," in names[0] else "give others"
        print(f"One label alone always gets 100%; {others}, or --background generic.", file=sys.stderr)


def progress(*, shown: bool = True) -> Progress:
    """A bar on standard error, for results that go to files; it disappears at the end. None if that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not (shown and console.is_terminal))


def screen() -> Console:
    """Standard output, for text in which brackets and colons mean nothing."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def progress_below(screen: Console, count: int) -> Progress:
    """A bar on standard output or else standard error, whichever is a terminal, below all that is printed meanwhile."""
    from rich.console import Console
    from rich.progress import Progress

    errors = Console(stderr=True)
    console = screen if sys.stdout.isatty() else errors
    return Progress(
        console=console,
        transient=True,
        disable=count < 2 or not console.file.isatty(),
        redirect_stdout=False,  # it may be a file; where it is the terminal, `screen` prints above the bar
        redirect_stderr=sys.stderr.isatty(),
    )


def titled_table(title: str) -> Table:
    """A table without lines under a bold title."""
    from rich.table import Table

    return Table(title=escaped(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
