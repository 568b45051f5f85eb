"""The options that several commands have, each with its words: `options.Model` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from crossframe.taught import FrameRule

VIDEOS = (
    "Videos: files, folders, addresses, patterns in quotes, lists (.csv, .txt, .parquet ...), .tar archives; '-' is a "
    "video on standard input, @FILE or @- has names."
)

# Of the commands that read videos.
Model = Annotated[str, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'.")]
Label = Annotated[list[str] | None, Option("-l", "--label", help="A label, or the model's own; repeat.")]
Labels = Annotated[Path | None, Option(help="A file of labels: lines, CSV, TSV, JSON or YAML; numbered or not.")]
Frames = Annotated[int | None, Option(min=1, help="Frames to look at; as many as in training if not given.")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Option(
        metavar="<type>",  # the four together are wider than a column
        help="Of the image encoder: float32, bfloat16 or float16; auto is the fastest that the device has in hardware.",
    ),
]
Device = Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps; cuda, if there is one, when not given.")]
Template = Annotated[str | None, Option(help="Words around every label, with {} in its place.")]
Background = Annotated[list[str] | None, Option(help="Words for what is none of the labels, or 'generic'; repeat it.")]
Threshold = Annotated[
    float | None,
    Option(metavar="<share>", min=0, max=1, help="The score below which the answer is none of the labels."),
]
Sampling = Annotated[
    FrameRule | None,
    Option(help="Frames evenly by count, close together, or evenly in time; as in training if not given."),
]
Humanize = Annotated[bool, Option("--humanize", help="Read ApplyEyeMakeup and brush_hair as words.")]
Resume = Annotated[bool, Option("--resume", help="Go on with --out: leave out what it has already.")]
Workers = Annotated[int | None, Option(min=0, help="Processes that read videos; chosen if not given.")]
BatchSize = Annotated[int | None, Option(min=1, help="Videos computed together; chosen if not given.")]
WindowBatch = Annotated[
    int | None, Option("--batch-size", min=1, help="Windows computed together; chosen if not given.")
]
Timeout = Annotated[float, Option("--timeout", min=0.1, metavar="<seconds>", help="Seconds to read one video.")]
Memory = Annotated[int | None, Option("--memory", min=16, help="MB that reading one video may take: 2048.")]
MostFrames = Annotated[int | None, Option("--most-frames", min=1, help="Frames that a video may have: 4194304.")]
Contained = Annotated[
    bool, Option("--contained", help="Refuse files outside the folder of a list, also by links and '..'.")
]
FileSeconds = Annotated[float | None, Option("--timeout", min=0.1, help="Seconds to read one clip: 60.")]
Start = Annotated[float | None, Option(help="Of one video: the second to begin at.", show_default=False)]
End = Annotated[float | None, Option(help="Of one video: the second to end before.", show_default=False)]
Cache = Annotated[
    float | None,
    Option("--cache-size", min=0.001, metavar="<GB>", help="GB that downloads may take: 10.", show_default=False),
]
Stream = Annotated[int | None, Option(min=0, help="Which video stream, of files with several.")]

# Of those that look along long videos.
Window = Annotated[
    float | None,
    Option(metavar="<seconds>", help="Seconds that each answer is about; by the model's training if not given."),
]
Stride = Annotated[
    float | None, Option(metavar="<seconds>", help="Seconds from one answer to the next; a quarter if not given.")
]
Multi = Annotated[bool, Option("--multi", help="Labels that compete may be shown at the same time.")]

# Of those that take lists of clips.
ClassNames = Annotated[Path | None, Option("--labels", help="The classes' names, where a list has numbers.")]
Root = Annotated[Path | None, Option("--root", help="The folder or .tar of the videos, if not beside the list.")]
