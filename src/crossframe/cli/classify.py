"""`crossframe classify`: names what happens in videos."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import (
    NOTHING_DONE,
    exit_status,
    given_labels,
    json_line,
    label_set,
    made_by,
    open_recognizer,
    progress_below,
    say_what_scores_mean,
    screen,
    set_file_limits,
    titled_table,
)
from crossframe.cli.videos import given_videos, results_of
from crossframe.files import check_ending, check_page
from crossframe.pace import told
from crossframe.records import ENDINGS, Records, check_free, read_records
from crossframe.text.labels import PLACE, escaped, read_descriptions, wordings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from crossframe.gallery import Gallery
    from crossframe.prediction import Prediction
    from crossframe.video.given import Video, VideoError

    Results: TypeAlias = Callable[[list[Video]], Iterable[tuple[Video, Prediction | str]]]

DescriptionsOption: TypeAlias = Annotated[
    Path | None, Option(help="JSON or YAML of sentences for each label, read in its place; alone, it names them.")
]


def classify(
    videos: Annotated[list[str], Argument(help=options.VIDEOS)],
    label: options.Label = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    top: Annotated[int, Option(min=1, help="How many labels to show for each video.")] = 5,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: options.Device = None,
    template: options.Template = None,
    descriptions: DescriptionsOption = None,
    clean: options.Humanize = False,
    background: options.Background = None,
    threshold: options.Threshold = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object for each video, and nothing else.")] = False,
    out: Annotated[Path | None, Option(help="Write records to this .jsonl, .csv or .parquet file.")] = None,
    resume: options.Resume = False,
    html: Annotated[Path | None, Option(help="Write a page that shows the results here.")] = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    sampling: options.Sampling = None,
    stream: options.Stream = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    start: options.Start = None,
    end: options.End = None,
    cache_size: options.Cache = None,
    contained: options.Contained = False,
) -> None:
    """Name what happens in videos, among labels in your own words."""
    said = read_descriptions(descriptions) if descriptions else None
    names = list(said) if said and not label and not labels else given_labels(label or [], labels, clean, model)
    wordings(names, template or PLACE, said)  # a label without a description is said before anything slow is done
    set_file_limits(memory, most_frames, cache_size)
    found, absent = given_videos(videos, start, end, contained=contained)
    output = _Output(screen(), top, as_json, out, html)
    if len(absent) == len(set(found)):
        output.write_all([(video, absent[video]) for video in found])
        raise typer.Exit(NOTHING_DONE)
    output.check(resume=resume)
    settings = {"num_frames": frames, "precision": precision, "template": template, "descriptions": said}
    # Slow, and of no use before the command line is known to make sense.
    recognizer = open_recognizer(model, device, workers, batch_size, timeout, **settings)
    recognizer.sampling, recognizer.stream = sampling, stream
    chosen = label_set(recognizer.model, names, labels, background, threshold, said, quiet=as_json)
    names = list(chosen.labels)
    if as_json or out or html:
        output.made_by = made_by(model, recognizer) | {"descriptions": said and str(descriptions)}
    run = {**output.made_by, "labels": names, **chosen.to_dict(), "num_frames": recognizer.num_frames, "top": top}

    def name(videos: list[Video]) -> Iterable[tuple[Video, Prediction | str]]:
        present = [video for video in videos if video not in absent]
        return results_of(videos, absent, output.watched(recognizer.classify_each(present, chosen)))

    named = output.keep(found, name, run, resume=resume)
    if named and not as_json:
        say_what_scores_mean(model, names if not chosen.background else [])
    raise typer.Exit(exit_status(named, len(found), diverged=output.diverged))


@dataclass
class _Output:
    """Where results go: to the screen as tables or JSON, to a file as records, to a page."""

    screen: Console
    top: int
    as_json: bool
    out: Path | None
    html: Path | None
    made_by: dict[str, Any] = field(default_factory=dict[str, Any])
    records: Records | None = None
    gallery: Gallery | None = None  # of a file of records, a page is made when it is whole
    diverged: bool = False  # scores were no numbers, which is not the files' fault

    def check(self, *, resume: bool) -> None:
        """Raise ValueError or OSError now where there can be no result in the end."""
        if self.out:
            check_free(self.out, resume=resume)
            check_ending(self.out, "records", ENDINGS)
        if self.html:
            check_page(self.html)

    def keep(self, videos: list[Video], results: Results, run: dict[str, Any], *, resume: bool) -> int:
        """Write the `results` of `videos`, of which --out may have some; returns how many of them are named."""
        from crossframe.gallery import Gallery

        if self.out is None:
            self.gallery = Gallery() if self.html else None
            named = self.write_all(results(videos), len(videos))
        else:
            with Records(self.out, run, resume=resume) as self.records:
                left = [video for video in videos if video.about() not in self.records]
                self.write_all(results(left), len(left))
                named = sum(video.about() in self.records for video in videos)
            self.gallery = Gallery.of(read_records(self.out)) if self.html else None
        if self.html and self.gallery is not None:
            self.gallery.write(self.html, run)
            print(self.html, file=sys.stderr)
        return named

    def watched(self, results: Iterator[Prediction | VideoError]) -> Iterator[Prediction | VideoError]:
        """The same results."""
        from crossframe.answers import ScoreError

        for result in results:
            self.diverged |= isinstance(result, ScoreError)
            yield result

    def write_all(self, results: Iterable[tuple[Video, Prediction | str]], count: int = 0) -> int:
        """Write the results of `count` videos as they come; returns how many could be named."""
        named = 0
        with progress_below(self.screen, count) as bar:
            for video, result in bar.track(told(results, "videos", count), count, description="videos"):
                failed = isinstance(result, str)
                named += not failed
                record = {**video.about(), "error": result} if failed else result.to_dict(self.top)
                if self.records is not None:
                    self.records.add(record)
                if self.as_json:
                    self.screen.out(json_line(record | self.made_by, self.screen.encoding), highlight=False)
                if self.gallery is not None:
                    self.gallery.add(record)
                if not failed and not self.as_json:
                    self.screen.print(_table(result, self.top), "", soft_wrap=True)
        return named


def _table(prediction: Prediction, top: int) -> Table:
    from crossframe.prediction import in_group, title

    table = titled_table(title(prediction.about()))
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("", no_wrap=True, overflow="crop")
    if prediction.none:
        table.add_row("none of these", "", "")
    groups = dict(zip(prediction.labels, prediction.groups, strict=True)) if prediction.groups else {}
    for name, score in prediction.top(top):
        shown = in_group(name, groups.get(name))
        mark = " counts" if name in prediction.accepted and prediction.counted is not None else ""
        table.add_row(escaped(shown), f"{score:.1%}", "█" * round(20 * score) + mark)
    return table
