"""The page about an evaluation of timelines: what happens above what was told, video by video."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from crossframe.data.parquet import read_rows
from crossframe.evaluate.events import RIGHT, SEGMENTS
from crossframe.evaluate.localization import AT_OVERLAPS, OVERLAPS
from crossframe.evaluate.result import PREDICTIONS, SUMMARY
from crossframe.pace import percent
from crossframe.timeline.page import clock

VIDEOS = 12  # on the page, those with the worst events
MISSED = 24  # events
HUE = 137.5  # degrees from one label's color to the next: none are alike for long
OVERLAP_NAMES = {name: f"AP at .{round(10 * least)}" for name, least in zip(AT_OVERLAPS, OVERLAPS, strict=True)}

Values: TypeAlias = dict[str, Any]


def events_values(summary: Values, run: Path) -> Values:
    """The values of the page `events` that only it has; see `report.write_report`."""
    for name in (PREDICTIONS, SEGMENTS):
        if not (run / name).is_file():
            raise ValueError(f"{run} holds no {name}; evaluate again")
    rows = read_rows(run / PREDICTIONS)
    with (run / SEGMENTS).open(newline="", encoding="utf-8") as file:
        told = [{**row, "start": float(row["start"]), "end": float(row["end"])} for row in csv.DictReader(file)]
    hues = {row["label"]: round(HUE * place) % 360 for place, row in enumerate(summary["per_label"])}
    right = sum(row["correct"] for row in rows)
    missed = sorted((row for row in rows if not row["correct"]), key=lambda row: row["overlap"])
    return {
        "lead": f"{right:,} of {len(rows):,} events in {summary['videos']:,} videos are told with an overlap of "
        f"{RIGHT:.0%} or more.",
        "tiles": _tiles(summary),
        "overlaps": list(OVERLAP_NAMES),
        "shares": [f".{round(10 * least)}" for least in OVERLAPS],
        "per_label": sorted(summary["per_label"], key=lambda row: row["ap_50"]),
        "hues": hues,
        "videos": _videos(rows, told),
        "of_videos": summary["videos"],
        "missed": missed[:MISSED],
        "of_missed": len(missed),
        "clock": clock,
        "summary_name": SUMMARY,
    }


def _tiles(summary: Values) -> list[Values]:
    low, high = summary["mean_ap_interval"]
    tiles = [
        ("mAP", "mean_ap", f"overlaps of .3 to .7; 95% interval over videos: {low:.1%} to {high:.1%}"),
        *((f"mAP at .{name[-2:-1]}", name, "temporal intersection over union") for name in ("ap_30", "ap_50", "ap_70")),
        ("at points", "points", "average precision at the middles of windows"),
        ("covered", "covered", "of an event, on average, by segments of its label"),
        ("overlap", "overlap", "of an event with its best segment, on average"),
    ]
    return [{"name": name, "value": percent(summary[key]), "note": note} for name, key, note in tiles]


def _videos(rows: Sequence[Values], told: Sequence[Values]) -> list[Values]:
    """The videos whose events are told worst: their events and segments, with places in percent of the time shown."""
    events: defaultdict[str, list[Values]] = defaultdict(list)
    segments: defaultdict[str, list[Values]] = defaultdict(list)
    for row in rows:
        events[row["recording"]].append(row)
    for row in told:
        segments[row["path"]].append(row)
    worst = sorted(events, key=lambda video: sum(row["overlap"] for row in events[video]) / len(events[video]))
    return [_video(video, events[video], segments[video]) for video in worst[:VIDEOS]]


def _video(name: str, events: Sequence[Values], segments: Sequence[Values]) -> Values:
    end = max(row["end"] for row in (*events, *segments))

    def placed(row: Values) -> Values:
        left, width = (round(100 * part / end, 3) for part in (row["start"], row["end"] - row["start"]))
        return {"label": row["label"], "start": row["start"], "end": row["end"], "left": left, "width": width}

    return {
        "name": name,
        "end": end,
        "right": sum(row["correct"] for row in events),
        "events": len(events),
        "rows": [("is", list(map(placed, events))), ("told", list(map(placed, segments)))],
    }
