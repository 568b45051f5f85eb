"""`crossframe embed`: videos and texts as vectors that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import (
    NOTHING_DONE,
    exit_status,
    given_labels,
    made_by,
    open_recognizer,
    progress_below,
    screen,
    set_file_limits,
)
from crossframe.cli.videos import given_videos, results_of
from crossframe.files import check_ending
from crossframe.pace import told
from crossframe.records import check_free


def embed(
    out: Annotated[Path, Option(help="Write vectors to this .parquet, .npy or .jsonl file.")],
    videos: Annotated[list[str] | None, Argument(help=options.VIDEOS, show_default=False)] = None,
    label: Annotated[list[str] | None, Option("-l", "--label", help="A text to embed too; repeat it.")] = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    dtype: Annotated[Literal["float32", "float16"], Option(help="Of the numbers that are written.")] = "float32",
    device: options.Device = None,
    template: options.Template = None,
    clean: options.Humanize = False,
    resume: options.Resume = False,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    start: options.Start = None,
    end: options.End = None,
    cache_size: options.Cache = None,
    contained: options.Contained = False,
) -> None:
    """Write a vector of unit length for each video and text, for search, clustering and vector stores."""
    texts = given_labels(label or [], labels, clean) if label or labels else []
    set_file_limits(memory, most_frames, cache_size)
    found, absent = given_videos(videos or [], start, end, contained=contained)
    if not found and not texts:
        raise typer.BadParameter("give videos, or texts with -l", param_hint="VIDEOS")
    if found and len(absent) == len(set(found)):
        raise typer.Exit(NOTHING_DONE)
    from crossframe.vectors import ENDINGS, Vectors

    check_free(out, resume=resume)
    check_ending(out, "vectors", ENDINGS)

    settings = {"num_frames": frames, "precision": precision, "template": template}
    recognizer = open_recognizer(model, device, workers, batch_size, timeout, words=bool(texts), **settings)
    vectors = recognizer.embed_texts(texts).tolist() if texts else []
    run = made_by(model, recognizer) | {
        "num_frames": recognizer.num_frames,
        "width": recognizer.model.config.embed_dim,
        "dtype": dtype,
    }
    with Vectors(out, run, resume=resume) as records:
        for text, vector in zip(texts, vectors, strict=True):
            records.add({"text": text, "vector": vector})
        left = [video for video in found if video.about() not in records]
        results = results_of(left, absent, recognizer.embed_each([video for video in left if video not in absent]))
        with progress_below(screen(), len(left)) as bar:
            for video, result in bar.track(told(results, "videos", len(left)), len(left), description="videos"):
                failed = isinstance(result, str)
                records.add({**video.about(), "error": result} if failed else result.to_dict())
        done = sum(video.about() in records for video in found)
    raise typer.Exit(exit_status(done, len(found)) if found else 0)
