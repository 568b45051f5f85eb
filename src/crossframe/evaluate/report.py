"""The HTML page about an evaluation, made from the two files that it wrote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

import crossframe
from crossframe import pages
from crossframe.data.parquet import read_rows
from crossframe.data.reader import Job, Sampling, read_clip
from crossframe.evaluate.events_report import OVERLAP_NAMES, events_values
from crossframe.evaluate.result import PREDICTIONS, SHARES, SUMMARY, show_score
from crossframe.evaluate.shapes import DATA as SHAPES
from crossframe.evaluate.shapes import frames_of
from crossframe.evaluate.trained import warning_of
from crossframe.files import check_page, write_text
from crossframe.recipes.paper import published
from crossframe.shapes import VERSION as WORLD
from crossframe.shapes.splits import draw
from crossframe.video.decode import Frames
from crossframe.video.given import VideoError

REPORT = "report.html"
MANY = 24  # classes; of more than these, the page shows a choice
SHOWN = 12  # mistakes, files without an answer, and classes at either end
MADE_BY = f"Made by crossframe {crossframe.__version__}."
NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class": "mean class",
    "mean_ap": "mAP",
    "auroc": "AUROC",
    "fpr95": "FPR95",
    **OVERLAP_NAMES,
}
MORE_NOTES = {
    "mean_ap": "mean over labels of the average precision",
    "auroc": "how often a known clip scores above an unknown one",
    "fpr95": "unknown clips that pass with 95% of known ones",
}
SHAPES_NOTES = {
    "opposite": "the action or its reversal in time",
    "color": "one of eight, all else known",
    "shape": "one of all, all else known",
}

Values: TypeAlias = dict[str, Any]


def write_report(run: str | Path, out: str | Path | None = None, root: str | Path | None = None) -> Path:
    """Write the page about the evaluation in the folder `run` to `out`, a file or a folder, by default `run`.

    Videos are looked for where they were evaluated, or below `root`; the page says which are missing. For several
    trials, the page shows the mean and links to a page for each, which is written to the trial's folder.

    Raises ValueError, in one line, where `run` holds no evaluation.
    """
    run = Path(run)
    out = run if out is None else Path(out)
    out = out / REPORT if out.is_dir() else out
    check_page(out)
    summary = _summary(run)
    if "events" in summary:
        page = pages.render("events", **events_values(summary, run), **_ends(summary))
    elif "trials" in summary:
        for trial in summary["trials"]:
            write_report(run / trial["folder"], root=root)
        page = pages.render("overview", **_overview(summary, os.path.relpath(run, out.parent)))
    else:
        page = pages.render("report", **_report(summary, run, root))
    write_text(out, page)
    return out


def _summary(run: Path) -> Values:
    if not (run / SUMMARY).is_file():
        raise ValueError(f"{run} holds no {SUMMARY}; give a folder that 'crossframe evaluate --out' wrote")
    try:
        summary: Values = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{run / SUMMARY} is not JSON ({error}); evaluate again") from None
    if not {"confusion", "trials", "events"} & set(summary):
        raise ValueError(f"{run / SUMMARY} is not that of an evaluation, or of an older version; evaluate again")
    return summary


def _report(summary: Values, run: Path, root: str | Path | None) -> Values:
    """The values that the page of one evaluation shows."""
    if not (run / PREDICTIONS).is_file():
        raise ValueError(f"{run} holds no {PREDICTIONS}; evaluate again")
    return {
        **_ends(summary),
        "lead": f"{_lead(summary)} {_paper(summary['made_with'])}".strip(),
        "tiles": _tiles(summary),
        "calibration": _calibration(summary),
        "bins": _bins(summary),
        **_classes(summary),
        "confusion": _confusion(summary),
        "unknown": summary.get("open_set"),
        "probes": summary.get("probes", {}),
        "per_label": sorted(summary.get("per_label", []), key=lambda row: row["average_precision"]),
        "mistakes": _mistakes(read_rows(run / PREDICTIONS), _pictures(summary, root)),
    }


def _ends(summary: Values) -> Values:
    """Title, alarm, failures and settings: the same on the pages of clips and of events."""
    return {
        "title": _title([summary]),
        "alarm": warning_of(summary),
        "failures": summary["failures"][:SHOWN],
        "failures_lead": _failures_lead(summary),
        "made_with": _flat(summary["made_with"]),
        "foot": f"{MADE_BY} Every prediction is in {PREDICTIONS}, every number in {SUMMARY}.",
    }


def _overview(summary: Values, run: str) -> Values:
    """The values that the page of several trials shows; `run` is the folder as seen from the page."""
    trials: list[Values] = summary["trials"]
    columns = list(summary["mean"])
    return {
        "title": _title(trials),
        "lead": f"Mean and deviation of {len(trials)} trials. {_paper(trials[0]['made_with'])}".strip(),
        "alarm": warning_of(*trials),
        "tiles": [
            {
                "name": NAMES.get(name, name),
                "value": show_score(name, value),
                "note": f"deviation {_deviation(name, summary['deviation'][name])}",
            }
            for name, value in summary["mean"].items()
        ],
        "columns": ["videos", *(NAMES.get(name, name) for name in columns)],
        "trials": [
            {
                "name": trial["folder"],
                "page": f"{run}/{trial['folder']}/{REPORT}",
                "values": [f"{trial['videos']:,}", *(show_score(name, trial[name]) for name in columns)],
            }
            for trial in trials
        ],
        "foot": f"{MADE_BY} Every number is in {SUMMARY}.",
    }


def _deviation(name: str, value: float) -> str:
    return f"{100 * value:.1f} points" if name in SHARES else show_score(name, value)


def _title(evaluations: Sequence[Values]) -> str:
    models = {values["made_with"].get("model") for values in evaluations} - {None}
    return f"Evaluation of {models.pop() if len(models) == 1 else f'{len(models)} models'}" if models else "Evaluation"


def _lead(summary: Values) -> str:
    right = round(summary["top1"] * summary["videos"])
    split = summary["made_with"].get("split", "all")
    where = "" if split == "all" else f" of the split {split}"
    return f"{right:,} of {summary['videos']:,} videos{where} named right, each among {summary['classes']:,} labels."


def _paper(made_with: Values) -> str:
    """The paper's number, where model and protocol are the paper's; whether the clips are is for the reader to say."""
    if not made_with.get("variant") or "recipe" not in made_with or made_with["sampling"]["rule"] != "sparse":
        return ""
    frames, views = made_with["sampling"]["num_frames"], made_with["sampling"]["views"]
    number = published(made_with["recipe"], made_with["variant"], frames, views, made_with["crops"])
    return f"The paper, with this model and protocol: {number}." if number else ""


def _tiles(summary: Values) -> list[Values]:
    """The numbers at the top: name, value and note."""
    low, high = summary["top1_interval"]
    over = f" over {summary['recordings']:,} recordings:" if summary.get("recordings") else ""
    tiles = [("top-1", summary["top1"], f"95% interval{over} {low:.1%} to {high:.1%}")]
    if summary["classes"] > 5:
        tiles.append(("top-5", summary["top5"], "right label among the best five"))
    tiles.append(("mean class", summary["mean_class"], "every class counts the same"))
    tiles += [(NAMES[name], summary[name], note) for name, note in MORE_NOTES.items() if name in summary]
    tiles += [(name, summary[name], note) for name, note in SHAPES_NOTES.items() if name in summary]
    if summary["calibration"]["error"] is not None:
        tiles.append(("calibration", summary["calibration"]["error"], "expected error of its confidence"))
    return [{"name": name, "value": f"{value:.1%}", "note": note} for name, value, note in tiles]


def _calibration(summary: Values) -> str:
    bins = _bins(summary)
    if not bins:
        return "No video gave an answer."
    confidence, accuracy = (sum(part["share"] * part[name] for part in bins) for name in ("confidence", "accuracy"))
    return f"The model gives its answers {confidence:.1%} on average, and {accuracy:.1%} of them are right."


def _bins(summary: Values) -> list[Values]:
    """The bins of confidence that are not empty."""
    full = [part for part in summary["calibration"]["bins"] if part["videos"]]
    total = sum(part["videos"] for part in full)
    return [{**part, "share": part["videos"] / total} for part in full]


def _classes(summary: Values) -> Values:
    """The worst and the best classes, and a list of all where these are not all."""
    most: dict[str, Values] = {}
    for pair in _mistaken(summary):
        most.setdefault(pair["label"], pair)
    rows: list[Values] = [
        {**row, "mistaken": f"taken for {most[row['label']]['predicted']}" if row["label"] in most else ""}
        for row in summary["per_class"]
    ]
    ordered = sorted(rows, key=lambda row: row["top1"])
    worst = [row for row in ordered[: min(SHOWN, -(-len(rows) // 2))] if row["top1"] < 1]
    best = ordered[len(worst) :][: -SHOWN - 1 : -1]
    return {"worst": worst, "best": best, "everything": rows if len(rows) > len(worst) + len(best) else []}


def _mistaken(summary: Values) -> list[Values]:
    """Pairs of classes that were confused, the most frequent first."""
    pairs = [pair for pair in summary["confusion"] if pair["label"] != pair["predicted"]]
    return sorted(pairs, key=lambda pair: -pair["videos"])


def _confusion(summary: Values) -> Values:
    """The classes of the matrix, and its rows as lists of non-empty cells: column, videos, share of the row.

    A last column collects all other answers, and videos without an answer.
    """
    videos = {row["label"]: row["videos"] for row in summary["per_class"]}
    counts = {(pair["label"], pair["predicted"]): pair["videos"] for pair in summary["confusion"]}
    shown = list(videos) if len(videos) <= MANY else _most_confused(_mistaken(summary), list(videos))
    cells: list[list[Values]] = []
    for label in shown:
        row = [counts.get((label, said), 0) for said in shown]
        row.append(videos[label] - sum(row))
        cells.append([{"column": c, "videos": n, "share": n / videos[label]} for c, n in enumerate(row) if n])
    which = "All classes" if len(shown) == len(videos) else f"The {len(shown)} classes most often confused"
    return {
        "classes": shown,
        "cells": cells,
        "others": any(cell["column"] == len(shown) for row in cells for cell in row),
        "caption": f"{which}. A row is what a video shows, a column what was said; numbers are percent of the row.",
    }


def _most_confused(pairs: Sequence[Values], order: Sequence[str]) -> list[str]:
    """The classes of the most frequent confusions, as many as can be read, in class order."""
    chosen: set[str] = set()
    for pair in pairs:
        both = chosen | ({pair["label"], pair["predicted"]} & set(order))
        if len(both) > MANY:
            break
        chosen = both
    return [label for label in order if label in chosen]


def _mistakes(rows: Sequence[Values], pictures: Callable[[str], Tensor | str]) -> list[pages.Clip]:
    """The wrong answers with the highest scores."""
    wrong = [row for row in rows if row["error"] is None and not row["correct"]]
    wrong.sort(key=lambda row: -row["top_scores"][0])
    return [_clip(row, pictures(row["path"])) for row in wrong[:SHOWN]]


def _clip(row: Values, frames: Tensor | str) -> pages.Clip:
    top = list(zip(row["top_labels"], row["top_scores"], strict=True))
    if row["label"] not in row["top_labels"] and row["label_score"] is not None:  # which an unknown label has not
        top.append((row["label"], row["label_score"]))
    if isinstance(frames, str):
        return pages.Clip(row["path"], top, row["label"], problem=frames)
    return pages.Clip(row["path"], top, row["label"], pages.strip(frames))


def _pictures(summary: Values, root: str | Path | None) -> Callable[[str], Tensor | str]:
    """A function from a video's name to the frames of its first view, (T, 3, H, W), or to why there are none."""
    made_with = summary["made_with"]
    sampling = Sampling(**made_with["sampling"])
    if made_with.get("data") == SHAPES and made_with.get("world") != WORLD:
        return lambda _name: "an earlier version drew other clips from this seed; evaluate again"
    if made_with.get("data") == SHAPES:
        split, seed, nuisance = made_with["split"], made_with["seed"], made_with["nuisance"]

        def drawn(name: str) -> Tensor:  # test/000017.mp4 is clip 17
            return frames_of(draw(split, seed, int(Path(name).stem), nuisance=nuisance), sampling.num_frames)

        return drawn
    place = made_with.get("data") if root is None else root
    if place is None:
        return lambda _name: "where the videos are is not known; give --root"
    folder = Path(place)

    def read(name: str) -> Tensor | str:
        try:
            decoded = read_clip(_job(folder, name), sampling, pages.PICTURE_SIDE)
        except VideoError as error:
            return str(error)
        return Frames.from_arrays(decoded).pixels[: sampling.num_frames]

    return read


def _job(folder: Path, name: str) -> Job:
    """How to read the clip of this name; `a.mp4#t=2.0,4.5` is a part of a file (see `data.clip.Clip.name`)."""
    stretch = re.fullmatch(r"(.*)#t=([\d.]*)(?:,([\d.]+))?", name, flags=re.S)
    if stretch is None or (folder / name).exists():
        return Job(folder / name, 0, 0)
    path, start, end = stretch.groups()
    return Job(folder / path, 0, 0, float(start) if start else None, float(end) if end else None)


def _failures_lead(summary: Values) -> str:
    count = len(summary["failures"])
    more = f" The first {SHOWN} of them; {SUMMARY} has all." if count > SHOWN else ""
    what = "all of their events are missed" if "events" in summary else "count as wrong"
    return f"{count} of {summary['videos']:,} videos gave no answer and {what}.{more}"


def _flat(values: Values, before: str = "") -> list[tuple[str, str]]:
    """Nested entries as a flat list, without empty ones: `sampling views`, `4`."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        name = f"{before} {name.replace('_', ' ')}".strip()
        if isinstance(value, dict):
            found += _flat(value, name)
        elif value not in (None, []):
            found.append((name, str(value)))
    return found
