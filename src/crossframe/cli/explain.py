"""`crossframe explain`: why a video gets its label."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import (
    NOTHING_DONE,
    given_labels,
    json_line,
    label_set,
    made_by,
    open_recognizer,
    say_what_scores_mean,
    screen,
    set_file_limits,
    titled_table,
)
from crossframe.cli.videos import given_videos
from crossframe.files import check_page, check_writable, write_text
from crossframe.pace import signed

if TYPE_CHECKING:
    from rich.table import Table

    from crossframe.explain.explain import Explanation


def explain(
    video: Annotated[str, Argument(help="A video: a file, an address, or '-' for standard input.")],
    label: options.Label = None,
    labels: options.Labels = None,
    why: Annotated[str | None, Option(help="The label to explain; the best one if not given.")] = None,
    model: options.Model = DEFAULT_MODEL,
    top: Annotated[int, Option(min=1, help="How many labels to tell scores of.")] = 5,
    frames: options.Frames = None,
    device: options.Device = None,
    template: options.Template = None,
    clean: options.Humanize = False,
    background: options.Background = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object, and nothing else.")] = False,
    html: Annotated[Path | None, Option(help="Write a page with frames and maps here.")] = None,
    png: Annotated[Path | None, Option(help="Write frames under maps into this folder.")] = None,
    sampling: options.Sampling = None,
    stream: options.Stream = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    start: options.Start = None,
    end: options.End = None,
    cache_size: options.Cache = None,
) -> None:
    """Show which frames and places of a video speak for a label, and what frames tell each other."""
    names = given_labels(label or [], labels, clean, model)
    if why is not None and names and why not in names:
        raise typer.BadParameter(f"{why!r} is not among the labels; add it with -l", param_hint="--why")
    set_file_limits(memory, most_frames, cache_size)
    found, absent = given_videos([video], start, end)
    if len(found) != 1:
        raise typer.BadParameter(f"{video} has {len(found)} videos; give one", param_hint="VIDEO")
    if absent:
        raise typer.Exit(NOTHING_DONE)
    if html:
        check_page(html)
    if png:
        _check_pictures(png)
    # Slow, and of no use before the command line is known to make sense.
    settings = {"num_frames": frames, "precision": "float32", "template": template}
    recognizer = open_recognizer(model, device, 0, None, timeout, **settings)
    chosen = label_set(recognizer.model, names, labels, background, quiet=as_json)
    recognizer.sampling, recognizer.stream = sampling, stream
    explanation = recognizer.explain(found[0], chosen, label=why)

    run = made_by(model, recognizer)
    _write(explanation, html, png, run)
    if as_json:
        shown = screen()
        shown.out(json_line(explanation.to_dict(top) | run, shown.encoding), highlight=False)
    else:
        screen().print(_table(explanation), soft_wrap=True)
        alone = not chosen.background and len(chosen.labels) == 1
        print(_in_words(explanation, "logit falls" if alone else "log-odds fall"))
        say_what_scores_mean(model, list(chosen.labels) if alone else [])


def _check_pictures(folder: Path) -> None:
    """Raise ValueError or OSError now where no pictures can be written, or would be mixed with those of another run."""
    if any(folder.glob("frame-*.png")):
        raise ValueError(f"{folder} has pictures of another run; give --png another folder")
    check_writable(folder)


def _write(explanation: Explanation, html: Path | None, png: Path | None, run: dict[str, Any]) -> None:
    """The page and the pictures that were asked for, whose places are told."""
    from crossframe.explain.pictures import page, write_pictures

    if html:
        write_text(html, page(explanation, run))
    if png:
        write_pictures(explanation, png)
    for path in filter(None, (html, png)):
        print(path, file=sys.stderr)


def _table(explanation: Explanation) -> Table:
    none = "none of these; " if explanation.prediction.none else ""
    table = titled_table(f"{explanation.prediction.video}: {none}{explanation.label}, {explanation.score:.1%}")
    for name in ("frame", "time", "places", "attention", "without", "evidence"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True, overflow="crop")
    frames = explanation.to_dict()["explained"]["frames"]
    most = max((frame["evidence"] for frame in frames if frame["evidence"] is not None), default=0)
    for frame in frames:
        share = {name: "" if frame[name] is None else f"{frame[name]:.0%}" for name in ("share", "attention")}
        time = "" if frame["time"] is None else f"{frame['time']:.2f} s"
        row = [str(frame["index"]), time, share["share"], share["attention"]]
        if frame["evidence"] is not None:
            bar = "█" * round(20 * max(0, frame["evidence"]) / most) if most > 0 else ""
            row += [f"{frame['without']:.1%}", signed(frame["evidence"]), bar]
        table.add_row(*row)
    return table


def _in_words(explanation: Explanation, fall: str) -> str:
    """The columns in words; `fall` says of which measure evidence is."""
    lines = ["places: share of the answer; without: the label's score if its neighbor stood in the frame's place, and"]
    lines += [f"evidence: by how much its {fall} then."]
    if found := explanation.messages:
        change = signed(-found.evidence)
        lines.append(f"Without messages between frames: {found.without:.1%}, {fall.split()[0]} {change}.")
    return "\n".join(lines)
