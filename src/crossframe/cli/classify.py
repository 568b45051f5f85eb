"""`crossframe classify`: names what happens in videos."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer
from typer import Argument, Option

from crossframe.cli.shared import choose_device, json_line
from crossframe.text.label_files import read_labels
from crossframe.text.labels import check_labels, humanize
from crossframe.text.templates import PLACE, read_descriptions, wordings
from crossframe.video.media import VIDEO_SUFFIXES, files_below, left_out_of, videos_in
from crossframe.video.tar import file_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from crossframe.recognizer import Prediction

DEFAULT_MODEL = "microsoft/xclip-base-patch32"


def classify(
    videos: Annotated[list[Path], Argument(help="Video files, or folders of them.", readable=False)],
    label: Annotated[list[str] | None, Option("-l", "--label", help="What may be happening; repeat it.")] = None,
    labels: Annotated[
        Path | None, Option(help="A file of labels: lines, CSV, TSV, JSON or YAML; numbered or not.")
    ] = None,
    model: Annotated[str, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'.")] = DEFAULT_MODEL,
    top: Annotated[int, Option(min=1, help="How many labels to show for each video.")] = 5,
    frames: Annotated[int | None, Option(min=1, help="Frames to look at; as many as in training if not given.")] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Option(help="Of the image encoder; auto is the fastest that the device has in hardware."),
    ] = "auto",
    device: Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps; cuda, if there is one, when not given.")] = None,
    template: Annotated[str | None, Option(help="Words around every label, with {} in its place.")] = None,
    descriptions: Annotated[
        Path | None, Option(help="JSON or YAML of sentences for each label, read in its place; alone, it names them.")
    ] = None,
    clean: Annotated[bool, Option("--humanize", help="Read ApplyEyeMakeup and brush_hair as words.")] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object for each video, and nothing else.")] = False,
    out: Annotated[Path | None, Option(help="Write the JSON lines to this file.")] = None,
) -> None:
    """Name what happens in videos, among labels in your own words."""
    said = read_descriptions(descriptions) if descriptions else None
    names = list(said) if said and not label and not labels else _labels(label or [], labels, clean)
    wordings(names, template or PLACE, said)  # a label without a description is said before anything slow is done
    paths = [path for given in videos for path in _expand(given)]
    present = _present(paths)
    if out:
        _opened(out, "a").close()  # what an earlier run has written is kept until there is something to take its place

    # Slow to import, and of no use before the command line is known to make sense.
    from crossframe.recognizer import Recognizer
    from crossframe.video.error import VideoError
    from crossframe.weights import load
    from crossframe.weights.saving import fingerprint

    network = load(model, device=None if device is None else choose_device(device))
    recognizer = Recognizer(network, num_frames=frames, precision=precision, template=template, descriptions=said)
    made_by = {
        "model": model,
        "weights": fingerprint(network) if as_json or out else None,
        "template": template,
        "descriptions": None if descriptions is None else str(descriptions),
        "precision": recognizer.precision,
    }
    screen = _screen()
    named = 0
    with _output(out, screen) as write, _progress(screen, len(present)) as bar:
        results = recognizer.classify_each(present, names)
        for result in bar.track(results, len(present), description="videos"):
            if isinstance(result, VideoError):
                print(f"crossframe: {result}", file=sys.stderr)
                continue
            named += 1
            if as_json or out:
                write(_as_json(result, top) | made_by)
            if not as_json:
                screen.print(_table(result, top), "", soft_wrap=True)
    if named and not as_json:
        _say_what_scores_mean(model, names)
    raise typer.Exit(1 if named < len(paths) else 0)


def _labels(given: list[str], file: Path | None, clean: bool) -> list[str]:
    names = [*given, *(read_labels(file) if file else [])]
    try:
        return check_labels([humanize(name) for name in names] if clean else names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--label") from None


def _expand(given: Path) -> list[Path]:
    """A file stands for itself, and so does a folder without videos; any other for the videos in it and below."""
    found = videos_in(given) if given.is_dir() else []
    if found and (others := left_out_of(files_below(given))):
        print(f"crossframe: {given}: {others}", file=sys.stderr)
    return found or [given]


def _present(paths: list[Path]) -> list[Path]:
    """The files that there are; the others are reported now, for a typing error need not wait for a model."""
    present: list[Path] = []
    for path in paths:
        if path.is_dir():
            looked = f"looked for names ending in {' '.join(VIDEO_SUFFIXES)}"
            print(f"crossframe: {path}: no video in this folder; {looked}", file=sys.stderr)
        elif os.path.exists(file_of(path)):
            present.append(path)
        else:
            remedy = "download the video first" if path.parts[0] in ("http:", "https:") else "check the path"
            print(f"crossframe: {path}: does not exist; {remedy}", file=sys.stderr)
    if not present:
        raise typer.Exit(1)
    return present


def _screen() -> Console:
    """Standard output, for text in which brackets and colons mean nothing."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def _opened(out: Path, mode: Literal["a", "w"]) -> TextIO:
    try:
        return out.open(mode, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{out}: cannot be written ({error.strerror}); give --out another path") from error


@contextmanager
def _output(out: Path | None, screen: Console) -> Generator[Callable[[dict[str, Any]], None]]:
    """Writes objects to a file or to standard output."""
    if out is None:
        yield lambda result: screen.out(json_line(result, screen.encoding), highlight=False)
        return
    with _opened(out, "w") as file:
        yield lambda result: print(json_line(result, file.encoding), file=file, flush=True)


def _progress(screen: Console, count: int) -> Progress:
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


def _say_what_scores_mean(model: str, names: list[str]) -> None:
    if model == "shapes":
        print("The model 'shapes' knows only drawn shapes; --model names one for real videos.", file=sys.stderr)
    if len(names) == 1:
        print("One label alone always gets 100%; give others, or --json for its similarity.", file=sys.stderr)


def _as_json(prediction: Prediction, top: int) -> dict[str, Any]:
    frames = prediction.frames
    return {
        "video": prediction.video,
        "predictions": [
            {
                "label": prediction.labels[i],
                "score": float(prediction.scores[i]),
                "similarity": None if prediction.similarities is None else float(prediction.similarities[i]),
            }
            for i in prediction.ranking()[:top]
        ],
        "frames": {
            "indices": frames.indices.tolist(),
            "times": [None if isnan(time) else time for time in frames.times.tolist()],
            "total": frames.total,
            "damaged": int(frames.damaged.sum()),
        },
    }


def _table(prediction: Prediction, top: int) -> Table:
    from rich.table import Table

    table = Table(title=prediction.video, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("", no_wrap=True, overflow="crop")
    for name, score in prediction.top(top):
        table.add_row(name, f"{score:.1%}", "█" * round(20 * score))
    return table
