"""What timelines of long videos cost, and how well they tell when things happen, on drawn videos with known events.

    python -m benchmarks.timeline --save     # then python -m benchmarks.tables

- One video of two hours in one pass: the memory of the process beside the part of the video that has been read, the
  time that decoding its windows takes beside a plain decode of the file, events found.
- Other strides on two videos of five minutes: windows a second, and average precision.

The bundled model, in the precision that is fast here.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import av

from benchmarks.harness import Bar, Options, Result, in_turn, run
from crossframe import Recognizer, load
from crossframe.data.manifest import read_manifest
from crossframe.evaluate.localization import Event, Localization, events_by_video, localization
from crossframe.shapes.long import render_long
from crossframe.text.groups import LabelSet
from crossframe.timeline.timeline import Timeline
from crossframe.timeline.windows import Grid, read_windows

HOURS = 2.0
WINDOW, STRIDE = 2.0, 0.5
STRIDES = (2.0, 1.0, 0.5, 0.25)
POINTS = 40  # at which memory is looked at


def measure(options: Options) -> Result:
    seconds = 60.0 if options.tiny else HOURS * 3600
    with TemporaryDirectory() as folder:
        here = Path(folder)
        long = render_long(here / "long", "test", 1, seconds, seed=0)
        path = here / "long" / "test" / "long-000.mp4"
        decoding = in_turn(
            {"plain": lambda: _plain(path), "windows": lambda: _windows(path)}, min(options.repeats, 2), 0
        )
        memory, took, found = _in_one_pass(path, long)
        short = render_long(here / "short", "val", 1 if options.tiny else 2, 30.0 if options.tiny else 300.0, seed=0)
        rows = [_at_stride(short, stride) for stride in (STRIDES[-2:] if options.tiny else STRIDES)]
    windows = int((seconds - WINDOW) / STRIDE) + 1
    share = decoding["windows"].wall / decoding["plain"].wall
    early, late = max(m for at, m in memory if at <= 0.25), max(m for _, m in memory)
    longer = [row for row in found if row["seconds"] >= WINDOW]
    return Result(
        [
            Bar("decoding the windows, of one plain decode", share, 1.1, True),
            Bar("greatest memory, MB", late, 1500, True),
            Bar("greatest memory, of that in the first quarter", late / early, 1.1, True),
            Bar("events longer than a window, covered by 80% or more", _share(longer, "covered", 0.8), 1.0),
            Bar("their mean overlap", sum(row["overlap"] for row in longer) / len(longer), 0.5),
        ],
        [
            *({"part": round(at, 3), "memory": round(size)} for at, size in memory),
            {
                "length": seconds,
                "windows": windows,
                "windows a second": windows / took,
                "times real time": seconds / took,
                "share of decoding": decoding["windows"].wall / took,
            },
            *rows,
        ],
        [f"{seconds:g} seconds of video, {len(found)} events, {len(longer)} of them longer than a window"],
    )


def _share(rows: list[dict[str, Any]], name: str, least: float) -> float:
    return sum(row[name] >= least for row in rows) / len(rows)


def _plain(path: Path) -> int:
    """The plainest decode of all frames."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def _windows(path: Path) -> int:
    return sum(1 for _ in read_windows(path, Grid(WINDOW, STRIDE), 8, short_side=64))


def _recognizer() -> tuple[Recognizer, float]:
    return Recognizer(load("shapes", device="cpu"), precision="auto"), perf_counter()


def _labels(events: Path) -> LabelSet:
    return LabelSet.of((events.parent / "labels.txt").read_text().splitlines(), background="generic")


def _truth(events: Path) -> dict[str, list[Event]]:
    manifest = read_manifest(events)
    return events_by_video([(str(manifest.locate(c)), c.label, c.start, c.end) for c in manifest.clips])


def _in_one_pass(path: Path, events: Path) -> tuple[list[tuple[float, float]], float, list[dict[str, float]]]:
    """Memory in MB by the part that has been read; seconds; and how each event was told."""
    recognizer, begun = _recognizer()
    labels, truth = _labels(events), _truth(events)[str(path)]
    length = max(event.end for event in truth)
    memory: list[tuple[float, float]] = []

    def watched() -> Any:
        for window in recognizer.timeline(path, labels, window=WINDOW, stride=STRIDE):
            part = (window.frames.end or 0.0) / length
            if part >= len(memory) / POINTS:
                memory.append((min(part, 1.0), _memory()))
            yield window

    told = Timeline.of(watched(), labels)
    took = perf_counter() - begun
    rows: list[dict[str, float]] = []
    for event in truth:
        alone: Localization = localization({"v": told.segments}, {"v": [event]}, {"v": told.track})
        rows.append({"seconds": event.end - event.start, "covered": alone.covered, "overlap": alone.overlap})
    return memory, took, rows


def _memory() -> float:
    """MB that this process has in memory now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6


def _at_stride(events: Path, stride: float) -> dict[str, float]:
    recognizer, begun = _recognizer()
    labels, truth = _labels(events), _truth(events)
    told = {
        video: Timeline.of(recognizer.timeline(video, labels, window=WINDOW, stride=stride), labels) for video in truth
    }
    took = perf_counter() - begun
    found = localization(
        {video: each.segments for video, each in told.items()}, truth, {v: each.track for v, each in told.items()}
    )
    windows = sum(len(each.track.spans) for each in told.values())
    return {
        "stride": stride,
        "windows": windows,
        "windows a second of video": 1 / stride,
        "windows a second": windows / took,
        **{name: value for name, value in found.means.items() if name in ("ap_30", "ap_50", "ap_70", "mean_ap")},
    }


if __name__ == "__main__":
    run("timeline", measure)
