"""`crossframe watch`: names what happens in a live source, the moment it is over."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import given_labels, json_line, label_set, made_by, open_recognizer, screen
from crossframe.text.labels import escaped

if TYPE_CHECKING:
    from crossframe.timeline.live import Live
    from crossframe.timeline.segments import Segment
    from crossframe.timeline.watch import Watch
    from crossframe.timeline.webhook import Webhook

SOURCE = "An address (http, rtsp, rtmp ...), a file that grows, '-' for standard input, or a camera (0, /dev/video0)."


def watch(
    source: Annotated[str, Argument(help=SOURCE)],
    label: options.Label = None,
    labels: options.Labels = None,
    model: options.Model = DEFAULT_MODEL,
    window: options.Window = None,
    stride: options.Stride = None,
    multi: options.Multi = False,
    webhook: Annotated[str | None, Option(metavar="<address>", help="POST each segment there, as JSON.")] = None,
    record: Annotated[Path | None, Option(help="Keep a clip of each segment in this folder, as .mkv.")] = None,
    idle: Annotated[float, Option(min=0.1, metavar="<seconds>", help="A file that grows ends after so long.")] = 10.0,
    retries: Annotated[int, Option(min=0, help="Attempts in a row to get a lost stream again.")] = 5,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: options.Device = None,
    template: options.Template = None,
    clean: options.Humanize = False,
    background: options.Background = None,
    threshold: options.Threshold = None,
) -> None:
    """Tell what happens in a live source, a line of JSON for each segment the moment it is over; Ctrl-C ends it."""
    from crossframe.timeline.live import Live
    from crossframe.timeline.watch import Watch
    from crossframe.timeline.webhook import Webhook

    names = given_labels(label or [], labels, clean, model)
    hook = Webhook(webhook) if webhook else None
    Live(source).check()
    if record:
        record.mkdir(parents=True, exist_ok=True)
    settings = {"num_frames": frames, "precision": precision, "template": template}
    recognizer = open_recognizer(model, device, None, None, 60.0, **settings)
    from crossframe.answers import with_background

    chosen = label_set(recognizer.model, names, labels, background, threshold, quiet=True)
    chosen = with_background(chosen, recognizer.model)
    live = Live(source, recognizer.model.preprocess.short_side, idle, retries, record is not None)
    stream = recognizer.open_stream(chosen, window=window, stride=stride, multi=multi, name=live.name)
    with ExitStack() as stack:
        if hook:
            stack.enter_context(hook)
        told = _Told(live, hook, record, made_by(model, recognizer), _kept_in(record))
        raise typer.Exit(told.all_of(Watch(live, stream)))


@dataclass
class _Told:
    """Where segments go."""

    live: Live
    hook: Webhook | None
    record: Path | None
    made_by: dict[str, Any]
    count: int = 0

    def all_of(self, watched: Watch) -> int:
        """Tell everything until the source ends or Ctrl-C; the exit status."""
        from crossframe.timeline.segments import Segment

        status = 0
        try:
            for found in watched:
                if isinstance(found, Segment):
                    self.one(found)
                    continue
                status = 1 if found.wait is None else 0
                again = "given up" if found.wait is None else f"tried again in {found.wait:g} s"
                print(f"crossframe: {escaped(self.live.name)}: {escaped(found.reason)}; {again}", file=sys.stderr)
        except KeyboardInterrupt:
            for segment in watched.close():
                self.one(segment)
        if watched.dropped:
            late = f"{watched.dropped} windows were dropped, for the model is slower than the source"
            print(f"crossframe: {late}; give a longer --stride", file=sys.stderr)
        return status

    def one(self, segment: Segment) -> None:
        """Tell one segment."""
        self.count += 1
        values = {"video": self.live.name, **segment.to_dict()}
        if self.record:
            path = self.record / f"{self.count:05}-{segment.start:.1f}-{segment.end:.1f}.mkv"
            values["clip"] = str(path) if self.live.save(path, segment.start, segment.end) else None
        console = screen()
        console.out(json_line(values | self.made_by, console.encoding), highlight=False)
        sys.stdout.flush()
        if self.hook:
            self.hook.send(values | self.made_by)


def _kept_in(record: Path | None) -> int:
    """The number of the last clip that an earlier watch kept in a folder: those to come go behind it."""
    numbers = (path.name.partition("-")[0] for path in record.glob("*.mkv")) if record else ()
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
