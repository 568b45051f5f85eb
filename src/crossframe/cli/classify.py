"""`crossframe classify`: names what happens in videos."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from crossframe.text.labels import check_labels, humanize, read_labels
from crossframe.video.files import VIDEO_SUFFIXES, videos_in

if TYPE_CHECKING:
    from crossframe.recognizer import Prediction

DEFAULT_MODEL = "microsoft/xclip-base-patch32"
Show = Callable[["Prediction"], None]


class PrecisionChoice(StrEnum):
    """What `--precision` takes."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def classify(
    videos: Annotated[list[Path], Argument(help="Video files, or folders of them.")],
    label: Annotated[list[str] | None, Option("-l", "--label", help="What may be happening; repeat it.")] = None,
    labels: Annotated[Path | None, Option(help="A file of labels: one a line, or a CSV with label or id,name.")] = None,
    model: Annotated[str, Option(help="A hub id, a folder, a checkpoint file, or 'shapes'.")] = DEFAULT_MODEL,
    top: Annotated[int, Option(min=1, help="How many labels to show for each video.")] = 5,
    frames: Annotated[int | None, Option(min=1, help="Frames to look at; as many as in training if not given.")] = None,
    precision: Annotated[PrecisionChoice, Option(help="auto: bfloat16 where it is fast.")] = PrecisionChoice.AUTO,
    device: Annotated[str | None, Option(help="cpu, cuda, cuda:1, mps; the GPU, if any, when not given.")] = None,
    template: Annotated[str | None, Option(help="Words around every label, with {} in its place.")] = None,
    clean: Annotated[bool, Option("--humanize", help="Read ApplyEyeMakeup and brush_hair as words.")] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object for each video, and nothing else.")] = False,
    out: Annotated[Path | None, Option(help="Write the JSON lines to this file.")] = None,
) -> None:
    """Name what happens in videos, among labels in your own words."""
    names = _labels(label or [], labels, clean)
    paths = [path for given in videos for path in _expand(given)]
    with _output(out) as write:
        # Slow to import, and of no use before the command line is known to make sense.
        from crossframe.recognizer import Recognizer
        from crossframe.weights import load
        from crossframe.weights.fingerprint import fingerprint

        network = load(model, device=device)
        made_by = {"model": model, "weights": fingerprint(network) if as_json or out else None, "template": template}
        recognizer = Recognizer(network, num_frames=frames, precision=precision.value, template=template)
        made_by["precision"] = recognizer.precision

        def show(prediction: Prediction) -> None:
            if as_json or out:
                write(json.dumps(_as_json(prediction, top) | made_by, ensure_ascii=False))
            if not as_json:
                _print_table(prediction, top)

        failed = _classify_each(recognizer, paths, names, show)
    if model == "shapes" and not as_json:
        print("The model 'shapes' knows only drawn shapes; --model names one for real videos.", file=sys.stderr)
    raise typer.Exit(1 if failed else 0)


def _labels(given: list[str], file: Path | None, clean: bool) -> list[str]:
    names = [*given, *(read_labels(file) if file else [])]
    try:
        return check_labels([humanize(name) for name in names] if clean else names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--label") from None


def _expand(given: Path) -> list[Path]:
    """A file stands for itself, a folder for the videos in it and below."""
    if not given.is_dir():
        return [given]
    found = videos_in(given)
    if not found:
        raise ValueError(f"{given}: no video in this folder; looked for names ending in {' '.join(VIDEO_SUFFIXES)}")
    return found


@contextmanager
def _output(out: Path | None) -> Generator[Callable[[str], None]]:
    """Writes lines to a file, opened before any work is done, or to standard output."""
    if out is None:
        yield lambda line: print(line, flush=True)
        return
    with out.open("w", encoding="utf-8") as file:
        yield lambda line: print(line, file=file, flush=True)


def _classify_each(recognizer: Any, paths: Sequence[Path], names: Sequence[str], show: Show) -> int:
    """Shows every prediction and reports every file that cannot be read; how many those were."""
    from rich.console import Console
    from rich.progress import track

    from crossframe.video.decode import VideoError

    failed = 0
    bar = Console(stderr=True)
    results = recognizer.classify_each(paths, names)
    watched = len(paths) > 1 and bar.is_terminal
    for result in track(results, "videos", len(paths), console=bar, transient=True, disable=not watched):
        if isinstance(result, VideoError):
            failed += 1
            print(f"crossframe: {result}", file=sys.stderr)
        else:
            show(result)
    return failed


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


def _print_table(prediction: Prediction, top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=prediction.video, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("")
    for name, score in prediction.top(top):
        table.add_row(name, f"{score:.1%}", "█" * round(20 * score))
    Console(soft_wrap=True).print(table, "")
