"""`crossframe timeline`: when what happens in long videos."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.localization import localization_table
from crossframe.cli.shared import (
    NOTHING_DONE,
    exit_status,
    given_labels,
    json_line,
    label_set,
    made_by,
    open_recognizer,
    progress,
    screen,
    set_file_limits,
    titled_table,
)
from crossframe.cli.videos import given_videos
from crossframe.files import check_not_read, check_page, check_unused, check_writable
from crossframe.text.labels import LabelSet, escaped

if TYPE_CHECKING:
    from rich.progress import Progress

    from crossframe.evaluate.localization import Event
    from crossframe.recognizer import Recognizer
    from crossframe.timeline.segments import Track
    from crossframe.timeline.timeline import Timeline
    from crossframe.video.given import Video

MOST_ROWS = 10  # of one kind, about what could not be seen, in a table

TruthOption: TypeAlias = Annotated[
    Path | None, Option(help="A list with start and end of what really happens: how well it is told.")
]
OutputsOption: TypeAlias = Annotated[
    list[Path] | None, Option(help="Write .csv, .json, .srt, .vtt, .html or label-studio.json; repeat it.")
]


def timeline(
    videos: Annotated[list[str], Argument(help=options.VIDEOS)],
    label: options.Label = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    window: options.Window = None,
    stride: options.Stride = None,
    multi: options.Multi = False,
    shots: Annotated[bool, Option("--shots", help="No segment crosses the border of a shot (extra 'shots').")] = False,
    out: OutputsOption = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object for each video, and nothing else.")] = False,
    truth: TruthOption = None,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: options.Device = None,
    template: options.Template = None,
    clean: options.Humanize = False,
    background: options.Background = None,
    threshold: options.Threshold = None,
    batch_size: options.WindowBatch = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    start: options.Start = None,
    end: options.End = None,
    contained: options.Contained = False,
) -> None:
    """Say when what happens in videos of any length, or that nothing does."""
    names = given_labels(label or [], labels, clean, model)
    set_file_limits(memory, None)
    found, absent = given_videos(videos, start, end, contained=contained)
    present = [video for video in found if video not in absent]
    if not present:
        raise typer.Exit(NOTHING_DONE)
    for path in out or []:
        check_not_read(path, *videos, labels, truth)
    _check_outputs(out or [], len(present), window, stride)
    events = _events(truth, present) if truth else {}
    if shots:
        from crossframe.timeline.shots import detector

        detector()  # missing, it is said before a model loads
    recognizer = open_recognizer(
        model, device, None, batch_size, timeout, num_frames=frames, precision=precision, template=template
    )
    from crossframe.answers import with_background

    chosen = label_set(recognizer.model, names, labels, background, threshold, quiet=as_json)
    chosen = with_background(chosen, recognizer.model)
    work = _Work(recognizer, chosen, window, stride, multi, shots, any(path.suffix == ".html" for path in out or []))
    work.made_by = made_by(model, recognizer) | {"window": work.grid.window, "stride": work.grid.stride}
    timelines: list[Timeline] = []
    with _written_anyway(out or [], timelines, len(present)):
        _tell(work, present, timelines, as_json=as_json)
    _write_all(out or [], timelines)
    if events and timelines:
        _tell_how_well(dict(zip(map(_part, work.told), timelines, strict=True)), events, as_json=as_json)
    if timelines and model == "shapes" and not as_json:
        print("The model 'shapes' knows only drawn shapes; --model names one for real videos.", file=sys.stderr)
    raise typer.Exit(exit_status(len(timelines), len(found)))


def _tell(work: _Work, videos: list[Video], timelines: list[Timeline], *, as_json: bool) -> None:
    """Add the timelines of videos, each printed as it comes; of those that cannot be read, why is said."""
    console = screen()
    with progress() as bar:
        for video in videos:
            result = work.of(video, bar)
            if result is None:
                continue
            timelines.append(result)
            work.told.append(video)
            for note in (*result.track.notes, *_sparse(result.track)):
                print(f"crossframe: {escaped(video.name)}: {escaped(note)}", file=sys.stderr)
            if as_json:
                console.out(json_line(result.to_dict(), console.encoding), highlight=False)
            else:
                console.print(_table(result), "", soft_wrap=True)


@dataclass
class _Work:
    """The work on each video."""

    recognizer: Recognizer
    labels: LabelSet
    window: float | None
    stride: float | None
    multi: bool
    shots: bool
    pictures: bool
    made_by: dict[str, Any] = field(default_factory=dict[str, Any])
    told: list[Video] = field(default_factory=list["Video"])  # whose timelines there are

    @property
    def grid(self) -> Any:
        from crossframe.timeline.windows import Grid

        grid = Grid.of(self.window, self.stride, self.recognizer.num_frames, self.recognizer.model.taught)
        grid.check_whole()
        return grid

    def of(self, video: Video, bar: Progress) -> Timeline | None:
        """The timeline of a video; None, said on standard error, where it cannot be read."""
        from crossframe.timeline.shots import shot_changes
        from crossframe.timeline.timeline import Timeline
        from crossframe.video.given import VideoError

        task = bar.add_task(escaped(video.name), total=None)
        try:
            changes = shot_changes(video) if self.shots else []
            windows = self.recognizer.timeline(
                video, self.labels, window=self.window, stride=self.stride, keep_pixels=self.pictures
            )
            seen = bar.track(windows, task_id=task, total=None)
            labels = self.recognizer.question(self.labels).scoring.labels
            return Timeline.of(seen, labels, multi=self.multi, shots=changes, **self.made_by)
        except VideoError as error:
            print(f"crossframe: {escaped(str(error))}", file=sys.stderr)
            return None
        finally:
            bar.remove_task(task)


def _check_outputs(out: list[Path], videos: int, window: float | None, stride: float | None) -> None:
    """Raise ValueError or OSError now for what could not be done in the end."""
    from crossframe.data.labeling import check_tasks
    from crossframe.timeline.writers import LABEL_STUDIO, check_name

    for path in out:
        check_name(path, videos)
        if path.suffix == ".html":
            check_page(path)
            continue
        if path.name.endswith(LABEL_STUDIO):
            check_tasks(path)
        check_unused(path)
        check_writable(path.parent)
    from crossframe.timeline.windows import Grid

    Grid(1.0 if window is None else window, 1.0 if stride is None else stride)


def _events(truth: Path, videos: list[Video]) -> dict[str, list[Event]]:
    """The events that a list has of these videos, by the names of `_part`; of parts, cut to what is in them.

    Raises ValueError where there are none.
    """
    from crossframe.data.manifest import read_manifest
    from crossframe.evaluate.localization import events_by_video, events_within

    manifest = read_manifest(truth, missing_ok=True, events=True)
    rows = [(clip, label) for clip in manifest.clips for label in clip.labels]
    events = events_by_video([(os.path.abspath(manifest.locate(c)), label, c.start, c.end) for c, label in rows])
    listed = [video for video in videos if os.path.abspath(video.name) in events]
    if not listed:
        raise ValueError(f"{truth} has no event of {videos[0].name}; its paths name other videos")
    parts = [(video, events_within(events[os.path.abspath(video.name)], video.start, video.end)) for video in listed]
    own = {_part(video): each for video, each in parts if each}
    if not own:
        video = listed[0]
        span = (
            f"from {video.start or 0:g} s on" if video.end is None else f"from {video.start or 0:g} to {video.end:g} s"
        )
        raise ValueError(
            f"{truth} has no event of {video.name} {span}; give a part that has some, or leave out --truth"
        )
    return own


def _part(video: Video) -> str:
    """The absolute path of a video, with the times of the part that is asked for."""
    from crossframe.data.clip import Clip

    return Clip(os.path.abspath(video.name), "", start=video.start, end=video.end).name


def _tell_how_well(timelines: dict[str, Timeline], events: dict[str, list[Event]], *, as_json: bool) -> None:
    """Print how well segments tell the events of their videos, both by the names of `_part`."""
    from crossframe.evaluate.localization import localization

    tracks = {name: each.track for name, each in timelines.items()}
    found = {name: each.segments for name, each in timelines.items()}
    own = {video: each for video, each in events.items() if video in tracks}
    if not own:
        raise ValueError("no video of which --truth has events could be read; see what was said of them")
    result = localization(found, own, tracks)
    console = screen()
    if as_json:
        console.out(json_line({"localization": result.summary()}, console.encoding), highlight=False)
        return
    console.print(localization_table(result.summary()), "", soft_wrap=True)


@contextmanager
def _written_anyway(out: list[Path], timelines: list[Timeline], videos: int) -> Generator[None]:
    """Whatever ends the work on so many videos: what is done is worth hours of it, and is written, but over no page of
    all of them, and each file says how many it has."""
    from crossframe.timeline.writers import write

    try:
        yield
    except BaseException:
        for path in out if timelines else []:
            if path.exists() and path.stat().st_size:
                continue
            try:
                write(path, timelines)
                print(f"crossframe: {escaped(str(path))} has {len(timelines)} of {videos} videos", file=sys.stderr)
            except OSError as error:  # beside what ended the rest, which is told after it
                print(f"crossframe: {escaped(str(error))}", file=sys.stderr)
        raise


def _write_all(out: list[Path], timelines: list[Timeline]) -> None:
    from crossframe.timeline.writers import write

    for path in out if timelines else []:
        write(path, timelines)
        print(path, file=sys.stderr)


def _table(result: Timeline) -> Any:
    from crossframe.timeline.page import clock

    table = titled_table(result.video)
    for name in ("from", "to"):
        table.add_column(name, justify="right")
    table.add_column("label")
    table.add_column("score", justify="right")
    for each in result.segments:
        table.add_row(clock(each.start, 1), clock(each.end, 1), escaped(each.label), f"{each.score:.1%}")
    if not result.segments:
        table.add_row("", "", "none of these stands out", "")
    for name, stretches in (("damaged", result.track.damaged_stretches()), ("no frame", result.track.gaps())):
        for start, end in stretches[:MOST_ROWS]:
            table.add_row(clock(start, 1), clock(end, 1), f"({name})", "")
        if len(stretches) > MOST_ROWS:
            table.add_row("", clock(stretches[-1][1], 1), f"({name}, {len(stretches) - MOST_ROWS} times more)", "")
    return table


def _sparse(track: Track) -> list[str]:
    """A hint where many windows show no frame, as of a film with a picture every few seconds."""
    gaps = track.gaps()
    if len(gaps) < 2 or sum(end - start for start, end in gaps) < (track.spans[-1][1] - track.spans[0][0]) / 10:
        return []
    window = max(end - start for start, end in track.spans)
    return [f"{len(gaps)} times the next frame is further away than a window of {window:g} s; give a longer --window"]
