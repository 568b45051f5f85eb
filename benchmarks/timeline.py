"""What timelines of long videos cost, and how well they tell when things happen, on drawn videos with known events.

    python -m benchmarks.timeline --save     # then python -m benchmarks.tables

- One video of two hours in one pass: the memory of the process beside the part of the video that has been read, events
  found, and how many of those that the model names right where somebody has cut them out by hand.
- The time that decoding windows takes beside a plain decode of the file, which makes no pictures of the frames.
- The first hour of it as a stream by HTTP, as fast as it is answered: memory over its length.
- Other strides on two videos of five minutes: windows a second, and average precision.

The bundled model, in the precision that is fast here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter
from typing import Any

import av

from benchmarks.harness import ROOT, Bar, Options, Result, in_turn, run
from benchmarks.peers import ten_second_clip
from crossframe import Recognizer, load
from crossframe.data.manifest import read_manifest
from crossframe.evaluate.localization import Event, Localization, events_by_video, localization
from crossframe.shapes.long import render_long
from crossframe.text.labels import LabelSet
from crossframe.timeline.live import Live, Lost
from crossframe.timeline.segments import Segment
from crossframe.timeline.timeline import Timeline
from crossframe.timeline.watch import Watch
from crossframe.timeline.windows import Grid, read_windows
from crossframe.video.decode import Frames
from crossframe.video.exact import open_video
from crossframe.video.given import Video, VideoError
from crossframe.video.media import x264_options
from crossframe.video.stretches import read_parts

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
        real = ten_second_clip(options.videos, here, options.tiny)
        costs = [
            _decoding("drawn", path, 64, options),
            _decoding(
                "drawn, enlarged", _enlarged(path, here / "large.mp4", 5.0 if options.tiny else 60.0), 224, options
            ),
            _decoding("a clip of Kinetics' size", real, 224, options),
        ]
        memory, took, found = _in_one_pass(path, long)
        streamed = _streamed(path, long, here / "live.ts", min(seconds / 2, 3600.0))
        too_close = _too_close(path, long)
        short = render_long(here / "short", "val", 1 if options.tiny else 2, 30.0 if options.tiny else 300.0, seed=0)
        rows = [_at_stride(short, stride) for stride in (STRIDES[-2:] if options.tiny else STRIDES)]
    windows = int((seconds - WINDOW) / STRIDE) + 1
    share = [row["of one plain decode"] for row in costs]
    late = max(m for _, m in memory)
    longer = [row for row in found if row["seconds"] >= WINDOW]
    single = [row for row in longer if row["alone"]]
    return Result(
        [
            Bar("decoding the windows of the drawn video, of one plain decode", share[0], 1.1, True),
            Bar("decoding those of a clip of Kinetics' size for pictures of 224", share[-1], 1.1, True),
            Bar("greatest memory, MB", late, 1500, True),
            Bar("greatest memory, of that in the first quarter", _growth(memory), 1.1, True),
            Bar("greatest memory of a stream of an hour, of that in its first quarter", _growth(streamed), 1.1, True),
            Bar("events longer than a window, covered by 80% or more", _share(longer, "covered", 0.8), 1.0),
            Bar("the same with --multi", _share(longer, "covered_multi", 0.8), 1.0),
            Bar("their mean overlap", sum(row["overlap"] for row in longer) / len(longer), 0.5),
            Bar("covered, of those during which no other goes on", _share(single, "covered", 0.8), 1.0),
        ],
        [
            *({"part": round(at, 3), "memory": round(size)} for at, size in memory),
            *({"streamed": round(at, 3), "memory": round(size)} for at, size in streamed),
            *costs,
            {
                "length": seconds,
                "windows": windows,
                "windows a second": windows / took,
                "times real time": seconds / took,
                "share of decoding": costs[0]["seconds"] / took,
            },
            *rows,
        ],
        [
            f"{seconds:g} seconds of video, {len(found)} events, {len(longer)} of them longer than a window, "
            f"{sum(row['known'] for row in longer)} of these named right when cut by hand; "
            f"of {too_close} pairs of them one label at a time cannot cover 80% of both"
        ],
    )


def _share(rows: list[dict[str, Any]], name: str, least: float) -> float:
    return sum(row[name] >= least for row in rows) / len(rows)


def _plain(path: Path) -> int:
    """The plainest decode of all frames."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def _windows(path: Path, short_side: int) -> int:
    return sum(1 for _ in read_windows(path, Grid(WINDOW, STRIDE), 8, short_side=short_side))


def _decoding(video: str, path: Path, short_side: int, options: Options) -> dict[str, Any]:
    """What windows cost beside a plain decode."""
    ways = {"plain": lambda: _plain(path), "windows": lambda: _windows(path, short_side)}
    found = in_turn(ways, min(options.repeats, 3), 0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = f"{stream.width}x{stream.height}"
    return {
        "video": video,
        "picture": size,
        "short side": short_side,
        "of one plain decode": found["windows"].cpu / found["plain"].cpu,
        "seconds": found["windows"].wall,
    }


def _enlarged(path: Path, out: Path, seconds: float) -> Path:
    """The beginning of a video as 720p at 24 frames a second."""
    with av.open(str(path)) as container, av.open(str(out), "w") as written:
        stream = written.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = dict(x264_options(24))
        number = 0
        for frame in container.decode(video=0):
            if number >= 24 * seconds:
                break
            for _ in range(2):  # it was drawn at 12
                large = frame.reformat(1280, 720, "yuv420p")
                large.pts, large.time_base = number, Fraction(1, 24)
                number += 1
                written.mux(stream.encode(large))
        written.mux(stream.encode(None))
    return out


def _growth(memory: list[tuple[float, float]]) -> float:
    """The greatest memory, of that in the first quarter."""
    return max(size for _, size in memory) / max(size for at, size in memory if at <= 0.25)


class _Sends(BaseHTTPRequestHandler):
    """One file, to whoever asks."""

    path_sent: Path

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        with self.path_sent.open("rb") as file:
            shutil.copyfileobj(file, self.wfile, 1 << 16)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _streamed(path: Path, events: Path, live: Path, seconds: float) -> list[tuple[float, float]]:
    """Memory in MB by the part that has been watched of a stream: a video's beginning, as fast as it is answered."""
    with av.open(str(path)) as container, av.open(str(live), "w", format="mpegts") as written:
        stream = container.streams.video[0]
        copy = written.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.pts is not None and float(packet.pts * packet.time_base) < seconds:
                packet.stream = copy
                written.mux(packet)
    recognizer, _ = _recognizer()
    handler = type("Sends", (_Sends,), {"path_sent": live})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        stream = recognizer.open_stream(_labels(events), window=WINDOW, stride=STRIDE)
        source = Live(f"http://127.0.0.1:{server.server_port}/live.ts", 64, retries=0, waits=True)
        memory: list[tuple[float, float]] = []
        answer = stream.look

        def look(frames: Frames | None) -> list[Segment]:
            part = (frames.end or 0.0) / seconds if frames else 0.0
            if part >= len(memory) / POINTS:
                memory.append((min(part, 1.0), _memory()))
            return answer(frames)

        stream.look = look
        for found in Watch(source, stream):
            if isinstance(found, Lost):
                break
        server.shutdown()
    return memory


def _recognizer() -> tuple[Recognizer, float]:
    return Recognizer(load("shapes", device="cpu"), precision="auto"), perf_counter()


def _labels(events: Path) -> LabelSet:
    return LabelSet.of((events.parent / "labels.txt").read_text().splitlines(), background="generic")


def _truth(events: Path) -> dict[str, list[Event]]:
    manifest = read_manifest(events)
    return events_by_video([(str(manifest.locate(c)), c.label, c.start, c.end) for c in manifest.clips])


def _too_close(path: Path, events: Path) -> int:
    """How many pairs of events, both longer than a window, share more than a fifth of their lengths together."""
    longer = [event for event in _truth(events)[str(path)] if event.end - event.start >= WINDOW]
    return sum(
        min(one.end, other.end) - max(one.start, other.start) > 0.2 * (one.end - one.start + other.end - other.start)
        for one, other in combinations(longer, 2)
    )


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
    together = replace(told.track, multi=True).segments()
    rows: list[dict[str, float]] = []
    for event, cut in zip(truth, _cut(path, truth, recognizer), strict=True):
        alone: Localization = localization({"v": told.segments}, {"v": [event]}, {"v": told.track})
        beside = localization({"v": together}, {"v": [event]}, {"v": told.track})
        known = recognizer.classify(cut, labels).label == event.label
        others = [o for o in truth if o is not event and o.start < event.end and event.start < o.end]
        told_of = {"covered": alone.covered, "overlap": alone.overlap, "covered_multi": beside.covered}
        rows.append(told_of | {"seconds": event.end - event.start, "known": known, "alone": not others})
    return memory, took, rows


def _cut(path: Path, events: list[Event], recognizer: Recognizer) -> Iterator[Frames]:
    """The frames of each event, as `classify` reads them from its start to its end."""
    with open_video(Video(path)) as video:
        spans = [(event.start, event.end) for event in events]
        for part in read_parts(video, spans, recognizer.num_frames, short_side=recognizer.view["short_side"]):
            if isinstance(part, VideoError):
                raise part
            yield Frames.from_arrays(part)


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


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Megabytes against hours, of the video in one pass and of its first half as a stream."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    for along, hours, label in (("part", HOURS, "a file in one pass"), ("streamed", HOURS / 2, "a stream by HTTP")):
        series = [row for row in rows if along in row]
        axes.plot([row[along] * hours for row in series], [row["memory"] for row in series], label=label)
    axes.set(xlabel="hours of video", ylabel="MB", ylim=(0, None))
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    import sys

    found = run("timeline", measure)
    if "--save" in sys.argv:
        plot(found.rows, ROOT / "docs" / "timeline-memory.png")
