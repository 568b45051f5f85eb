"""`annotate` beside a plain loop of the loader and the model, on the same cores, in one run, in turn.

    python -m benchmarks.annotating --save     # then python -m benchmarks.tables

Both read the same files and answer the same labels; Ray runs already, as on a cluster. A rate is that of the steady
part: from when `SKIPPED` of the clips have come until the last has. Seconds of processors are those of all processes of
the run, this one's included, over the same part. Memory is what each process has to itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import psutil

from benchmarks.harness import Bar, Options, Result, run
from benchmarks.peers import by_rule, config_of, kinetics_labels, ten_second_clip
from crossframe.archive.annotator import Answering
from crossframe.archive.decoding import Job, Reading
from crossframe.archive.pipeline import annotated, cluster
from crossframe.archive.results import columns
from crossframe.recognizer import Recognizer
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip
from crossframe.text.labels import LabelSet
from crossframe.video.given import Limits, Video, VideoError

CLIPS, SKIPPED = 600, 1 / 4  # far more than are read ahead, which would pass for speed
MANY, DRAWN = 4000, 200  # clips for memory, of so many files
ROLES = {"Annotator": "models", "Decoder": "readers", "crossframe.video.isolate": "decoders", "raylet": "ray"}


@dataclass(slots=True)
class _Watch:
    """The seconds that this process and all below it have computed, and the memory that each has to itself."""

    seconds: dict[int, tuple[str, float]] = field(default_factory=dict)

    def look(self) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds so far and the largest megabytes of a process, both by the roles of processes."""
        memory: defaultdict[str, float] = defaultdict(float)
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            try:
                times, about = process.cpu_times(), process.memory_info()
                role = "driver" if process == own else _role(process.cmdline())
            except psutil.Error:
                continue
            self.seconds[process.pid] = role, times.user + times.system
            memory[role] = max(memory[role], (about.rss - about.shared) / 2**20)
        seconds: defaultdict[str, float] = defaultdict(float)
        for role, took in self.seconds.values():
            seconds[role] += took
        return seconds, memory


def _role(words: list[str]) -> str:
    line = " ".join(words)
    return next((role for name, role in ROLES.items() if name in line), "others")


@dataclass(frozen=True, slots=True)
class _Steady:
    """A run: clips a second and, by role, seconds of processors for a clip, both of its steady part; memory over it."""

    rate: float
    cpu: dict[str, float]
    memory: list[tuple[float, dict[str, float]]]


def _watched(arrivals: Iterator[int], count: int) -> _Steady:
    """`arrivals` are the numbers of clips that come together."""
    watch = _Watch()
    seen = 0
    looks: list[tuple[int, float, dict[str, float], dict[str, float]]] = []
    for number in arrivals:
        seen += number
        if not looks or seen == count or seen >= looks[-1][0] + count / 20:
            looks.append((seen, perf_counter(), *watch.look()))
    first = next(look for look in looks if look[0] >= SKIPPED * count)
    last = looks[-1]
    if last[0] != count or last[0] == first[0]:
        raise RuntimeError(f"{last[0]} of {count} clips came")
    clips = last[0] - first[0]
    memory = [(look[0] / count, look[3]) for look in looks]
    cpu = {role: (took - first[2].get(role, 0.0)) / clips for role, took in last[2].items()}
    return _Steady(clips / (last[1] - first[1]), cpu, memory)


class _Archive:
    """Files by names of their own, a model and labels: annotated, or in a plain loop."""

    def __init__(self, folder: Path, files: list[Path], count: int, recognizer: Recognizer, labels: list[str]) -> None:
        self.paths = [folder / f"{number}{files[0].suffix}" for number in range(count)]
        for number, path in enumerate(self.paths):
            path.symlink_to(files[number % len(files)])
        self.recognizer, self.labels = recognizer, labels

    def plain(self) -> Iterator[int]:
        for result in self.recognizer.classify_each(self.paths, self.labels):
            if isinstance(result, VideoError):
                raise result
            yield 1

    def annotated(self) -> Iterator[int]:
        recognizer = self.recognizer
        reading = Reading(recognizer.num_frames, recognizer.view, Limits())
        wanted = columns(recognizer.model.config.embed_dim, 0, "float32")
        answering = Answering(
            recognizer.num_frames, recognizer.precision, None, LabelSet.of(self.labels), 5, None, wanted, "-"
        )
        jobs = [Job(Video(path)) for path in self.paths]
        for table in annotated(jobs, reading, answering, recognizer.model, "cpu"):
            if wrong := [error for error in table["error"].to_pylist() if error]:
                raise RuntimeError(wrong[0])
            yield len(table)


def measure(options: Options) -> Result:
    with TemporaryDirectory() as folder, cluster(None):
        here = Path(folder)
        rates, rows = _rates(here, options)
        memory, more = _memory(here, options)
    return Result([*rates, *memory], [*rows, *more], [])


def _rates(folder: Path, options: Options) -> tuple[list[Bar], list[dict[str, Any]]]:
    config = config_of("B/32", 4 if options.tiny else 8, options.tiny)
    recognizer = Recognizer(by_rule(config), precision="auto")
    clip = ten_second_clip(options.videos, folder, options.tiny)
    (folder / "rates").mkdir()
    archive = _Archive(folder / "rates", [clip], 32 if options.tiny else CLIPS, recognizer, kinetics_labels()[:10])
    ways: dict[str, Callable[[], Iterator[int]]] = {"plain": archive.plain, "annotate": archive.annotated}
    found: defaultdict[str, list[_Steady]] = defaultdict(list)
    for _ in range(options.repeats):
        for way, start in ways.items():
            found[way].append(_watched(start(), len(archive.paths)))
    pairs = [a.rate / p.rate for a, p in zip(found["annotate"], found["plain"], strict=True)]
    rows = [
        {
            "way": way,
            "clips a second": median(each.rate for each in runs),
            "processor seconds a clip": median(sum(each.cpu.values()) for each in runs),
            "of these Ray's own": median(sum(each.cpu.get(role, 0.0) for role in ("ray", "others")) for each in runs),
            "by role": runs[-1].cpu,
            "of each pair": pairs if way == "annotate" else None,
        }
        for way, runs in found.items()
    ]
    return [Bar("clips a second of annotate, of a plain loop's", median(pairs), 0.85)], rows


def _memory(folder: Path, options: Options) -> tuple[list[Bar], list[dict[str, Any]]]:
    drawn = [folder / f"drawn-{number}.mp4" for number in range(8 if options.tiny else DRAWN)]
    for number, path in enumerate(drawn):
        write_clip(draw(Split.TEST, 50, number), path)
    (folder / "memory").mkdir()
    recognizer = Recognizer.from_pretrained("shapes")
    labels = ["a red circle growing", "a circle moving left"]
    archive = _Archive(folder / "memory", drawn, 64 if options.tiny else MANY, recognizer, labels)
    looks = _watched(archive.annotated(), len(archive.paths)).memory
    roles = sorted({role for _, memory in looks for role in memory})
    grown: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for role in roles:
        early = max(memory.get(role, 0.0) for at, memory in looks if at <= SKIPPED * 1.2)
        late = max(memory.get(role, 0.0) for at, memory in looks if at > SKIPPED)
        grown[role] = late - early
        rows.append({"process": role, "MB in the first quarter": early, "MB afterwards": late})
    return [
        Bar("growth of the driver's memory after the first quarter, MB", grown["driver"], 16, at_most=True),
        Bar(
            "growth of a worker's memory, MB",
            max(size for role, size in grown.items() if role in ("models", "readers", "decoders")),
            16,
            at_most=True,
        ),
    ], rows


if __name__ == "__main__":
    run("annotating", measure)
