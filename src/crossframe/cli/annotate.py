"""`crossframe annotate`: a whole archive, on one machine or a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import (
    NOTHING_DONE,
    exit_status,
    given_labels,
    label_set,
    made_by,
    open_recognizer,
    progress_below,
    screen,
    set_file_limits,
)
from crossframe.cli.videos import given_videos
from crossframe.pace import Pace, counted
from crossframe.text.labels import escaped
from crossframe.video.given import limits_here

if TYPE_CHECKING:
    from crossframe.archive.annotator import Answering
    from crossframe.archive.decoding import Reading
    from crossframe.archive.results import Parts
    from crossframe.recognizer import Recognizer
    from crossframe.text.labels import LabelSet

SHOWN = 5  # errors; the parts hold all

SummaryOption: TypeAlias = Annotated[
    bool, Option("--summary", help="Keep what the whole model's score needs, for an index that re-ranks.")
]

CutOption: TypeAlias = Annotated[
    float | None, Option(min=0.001, metavar="<s>", help="Cut videos into windows of so many seconds.")
]

StepOption: TypeAlias = Annotated[
    float | None, Option(min=0.001, metavar="<s>", help="From window to window; a quarter if not given.")
]

AddressOption: TypeAlias = Annotated[
    str | None, Option(help="Of a Ray cluster, such as 10.0.0.1:6379; if not given, Ray runs on this machine.")
]

KindOption: TypeAlias = Annotated[
    Literal["cpu", "cuda"] | None, Option(metavar="<name>", help="cpu or cuda; all GPUs, if there are any.")
]


def annotate(
    videos: Annotated[list[str], Argument(help=options.VIDEOS)],
    out: Annotated[Path, Option(help="A folder for the results; if it has some, only what is missing is done.")],
    label: options.Label = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    top: Annotated[int, Option(min=1, help="How many labels to keep of each video.")] = 5,
    summary: SummaryOption = False,
    dtype: Annotated[Literal["float32", "float16"], Option(help="Of the vectors.")] = "float32",
    window: CutOption = None,
    stride: StepOption = None,
    retry: Annotated[bool, Option("--retry", help="Try again what ended in an error.")] = False,
    address: AddressOption = None,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: KindOption = None,
    template: options.Template = None,
    clean: options.Humanize = False,
    background: options.Background = None,
    threshold: options.Threshold = None,
    batch_size: options.BatchSize = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    cache_size: options.Cache = None,
    contained: options.Contained = False,
) -> None:
    """Label and embed every video of an archive into Parquet files, each once, however often it is interrupted."""
    if stride and not window:
        raise typer.BadParameter("is between windows: give --window too", param_hint="--stride")
    names = given_labels(label or [], labels, clean) if label or labels else []
    set_file_limits(memory, most_frames, cache_size)
    found, absent = given_videos(videos, contained=contained)
    if len(absent) == len(set(found)):
        raise typer.Exit(NOTHING_DONE)
    from crossframe.archive.pipeline import annotated, cluster, device_of, ray

    ray()
    from crossframe.archive.indexing import features_size
    from crossframe.archive.results import Parts

    how: dict[str, Any] = {"num_frames": frames, "template": template, "words": bool(names)}
    recognizer = open_recognizer(model, "cpu", 0, batch_size, timeout, **how)
    chosen = None
    if names or recognizer.model.labels:
        chosen = label_set(recognizer.model, names, labels, background, threshold, quiet=False)
        names = list(chosen.labels)
    device = device or device_of(address)
    run: dict[str, Any] = made_by(model, recognizer) | {"num_frames": recognizer.num_frames, "dtype": dtype, "top": top}
    run |= {"precision": _precision(precision, device), "width": recognizer.model.config.embed_dim}
    run |= {"features": features_size(recognizer.model) if summary else 0, "labels": names}
    run |= {"window": window, "stride": stride or _usual_stride(window)}
    reading, answering = _work(recognizer, run, chosen, timeout, batch_size)
    with Parts(out, run | (chosen.to_dict() if chosen else {})) as parts:
        if retry:
            parts.forget_errors()
        if jobs := parts.jobs(found, cut=window is not None):
            with cluster(address):
                _keep(parts, annotated(jobs, reading, answering, recognizer.model, device), len(jobs))
    raise typer.Exit(_status(parts))


def _work(
    recognizer: Recognizer, run: dict[str, Any], chosen: LabelSet | None, timeout: float, batch_size: int | None
) -> tuple[Reading, Answering]:
    """How the processes of the run read, and what they answer."""
    from crossframe.archive.annotator import Answering
    from crossframe.archive.decoding import Reading
    from crossframe.archive.results import columns

    limits = replace(limits_here(), seconds=timeout)
    reading = Reading(recognizer.num_frames, recognizer.view, limits, run["window"], run["stride"])
    answering = Answering(
        num_frames=recognizer.num_frames,
        precision=run["precision"],
        template=run["template"],
        labels=chosen,
        top=run["top"],
        batch_size=batch_size,
        columns=columns(run["width"], run["features"], run["dtype"]),
        weights=run["weights"],
    )
    return reading, answering


def _usual_stride(window: float | None) -> float | None:
    from crossframe.timeline.windows import STRIDES

    return window / STRIDES if window else None


def _precision(given: str, device: str) -> str:
    """That of all models: a cluster's GPUs are asked for by the one here, or are taken for such that know bfloat16."""
    import torch

    from crossframe.inference import choose_precision

    if given == "auto" and device == "cuda" and not torch.cuda.is_available():
        return "bfloat16"
    return choose_precision(cast("Any", given), torch.device(device))


def _keep(parts: Parts, tables: Iterator[Any], count: int) -> None:
    """Write what comes, and say how fast it goes; `count` is that of the videos."""
    pace, waited, worked = Pace("videos", count), 0.0, 0.0
    seen, errors = 0.0, 0
    with progress_below(screen(), count) as bar:
        task = bar.add_task("videos", total=count)
        for table in tables:
            waited += sum(table["waited"].to_pylist())
            worked += sum(table["worked"].to_pylist())
            seen += sum(1 / (windows or 1) for windows in table["windows"].to_pylist())
            for error in filter(None, table["error"].to_pylist()):
                errors += 1
                if errors <= SHOWN:
                    print(f"crossframe: {escaped(error)}", file=sys.stderr)
            parts.add(table.drop_columns(["waited", "worked"]))
            waiting = f"models wait {waited / (waited + worked):.0%} of the time"
            bar.update(task, completed=seen, description=waiting)
            if line := pace.line(int(seen)):
                print(f"crossframe: {line}, {waiting}", file=sys.stderr)


def _status(parts: Parts) -> int:
    """The exit status of what is in the folder, which is told."""
    line = f"{parts.folder}: {counted(parts.results, 'result')}, {counted(parts.errors, 'error')}"
    line += "; --retry tries again what ended in an error" if parts.errors else ""
    screen().print(escaped(line), soft_wrap=True)
    return exit_status(parts.results, parts.results + parts.errors)
