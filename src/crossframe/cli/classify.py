"""`crossframe classify`: names what happens in videos."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from crossframe.cli.shared import choose_device, json_line
from crossframe.records import Records, check_free
from crossframe.text.label_files import read_labels
from crossframe.text.labels import check_labels, humanize
from crossframe.text.templates import PLACE, read_descriptions, wordings
from crossframe.video.media import VIDEO_SUFFIXES, files_below, left_out_of, videos_in
from crossframe.video.tar import file_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from crossframe.prediction import Prediction
    from crossframe.recognizer import Recognizer

DEFAULT_MODEL = "microsoft/xclip-base-patch32"
NOTHING_DONE = 2  # the exit status where not one video could be named


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
    out: Annotated[Path | None, Option(help="Write records to this .jsonl, .csv or .parquet file.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with --out: leave out what it has already.")] = False,
    workers: Annotated[int | None, Option(min=0, help="Processes that read videos; chosen if not given.")] = None,
    batch_size: Annotated[int | None, Option(min=1, help="Videos computed together; chosen if not given.")] = None,
    timeout: Annotated[float, Option(min=0.1, help="Seconds to read one video.")] = 60.0,
) -> None:
    """Name what happens in videos, among labels in your own words."""
    said = read_descriptions(descriptions) if descriptions else None
    names = list(said) if said and not label and not labels else _labels(label or [], labels, clean)
    wordings(names, template or PLACE, said)  # a label without a description is said before anything slow is done
    present, absent = _present([path for given in videos for path in _expand(given)])
    if out:
        check_free(out, resume=resume)

    # Slow to import, and of no use before the command line is known to make sense.
    from crossframe.recognizer import Recognizer
    from crossframe.weights import load
    from crossframe.weights.saving import fingerprint

    network = load(model, device=None if device is None else choose_device(device))
    recognizer = Recognizer(network, num_frames=frames, precision=precision, template=template, descriptions=said)
    recognizer.workers = recognizer.workers if workers is None else workers
    recognizer.batch_size, recognizer.timeout = batch_size or recognizer.batch_size, timeout
    made_by = {
        "model": model,
        "weights": fingerprint(network) if as_json or out else None,
        "template": template,
        "descriptions": None if descriptions is None else str(descriptions),
        "precision": recognizer.precision,
    }
    screen = _screen()
    name = partial(_name, screen, recognizer, names=names, top=top, tables=not as_json)
    if out:
        run = {**made_by, "labels": names, "num_frames": recognizer.num_frames, "top": top}
        named = _into_file(Records(out, run, resume=resume), present, absent, name)
    else:
        named = name(present, write=_print_json(screen, made_by) if as_json else None)
    if named and not as_json:
        _say_what_scores_mean(model, names)
    raise typer.Exit(0 if named == len(present) and not absent else 1 if named else NOTHING_DONE)


def _into_file(records: Records, present: list[Path], absent: dict[str, str], name: Callable[..., int]) -> int:
    """Records of all videos, of which some may be there already; returns how many could be named."""
    with records:
        for path, reason in absent.items():
            records.add({"video": path, "error": f"{path}: {reason}"})
        name(records.missing(map(str, present)), write=records.add)
        return sum(str(path) not in records.failed for path in present)


def _name(
    screen: Console,
    recognizer: Recognizer,
    videos: Sequence[str | Path],
    *,
    names: list[str],
    top: int,
    tables: bool,
    write: Callable[[dict[str, Any]], None] | None,
) -> int:
    """Classify videos, `write` their records, print their `tables`; returns how many could be named."""
    from crossframe.video.error import VideoError

    named = 0
    with _progress(screen, len(videos)) as bar:
        results = zip(videos, recognizer.classify_each(videos, names), strict=True)
        for video, result in bar.track(results, len(videos), description="videos"):
            if isinstance(result, VideoError):
                print(f"crossframe: {result}", file=sys.stderr)
                if write:
                    write({"video": str(video), "error": str(result)})
                continue
            named += 1
            if write:
                write(result.to_dict(top))
            if tables:
                screen.print(_table(result, top), "", soft_wrap=True)
    return named


def _print_json(screen: Console, made_by: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Prints the records of videos that were named as objects; those of others are lines on standard error alone."""

    def write(record: dict[str, Any]) -> None:
        if "error" not in record:
            screen.out(json_line(record | made_by, screen.encoding), highlight=False)

    return write


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


def _present(paths: list[Path]) -> tuple[list[Path], dict[str, str]]:
    """The files that there are, and what is wrong with the others; a typing error need not wait for a model."""
    present: list[Path] = []
    absent: dict[str, str] = {}
    for path in paths:
        if path.is_dir():
            looked = f"looked for names ending in {' '.join(VIDEO_SUFFIXES)}"
            absent[str(path)] = f"no video in this folder; {looked}"
        elif os.path.exists(file_of(path)):
            present.append(path)
        else:
            remedy = "download the video first" if path.parts[0] in ("http:", "https:") else "check the path"
            absent[str(path)] = f"does not exist; {remedy}"
    for path, reason in absent.items():
        print(f"crossframe: {path}: {reason}", file=sys.stderr)
    if not present:
        raise typer.Exit(NOTHING_DONE)
    return present, absent


def _screen() -> Console:
    """Standard output, for text in which brackets and colons mean nothing."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


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


def _table(prediction: Prediction, top: int) -> Table:
    from rich.table import Table

    table = Table(title=prediction.video, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("", no_wrap=True, overflow="crop")
    for name, score in prediction.top(top):
        table.add_row(name, f"{score:.1%}", "█" * round(20 * score))
    return table
