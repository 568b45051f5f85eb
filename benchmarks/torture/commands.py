"""Commands that are killed, whose disks are full or read-only, and that may have little memory."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import load_file

from benchmarks.torture.report import Options, Row
from tests.data.dataset import write_dataset

LONGEST = 600.0  # seconds for one command, on a busy machine
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
FEW = ("train.epochs=2", "train.warmup_epochs=0", "train.batch_size=4", "train.workers=0", "train.save_every=1")


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    """`crossframe ...` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "crossframe", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **ONE_THREAD},
        **options,  # pyright: ignore[reportArgumentType]
    )


def run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = start(*words, **options)
    try:
        out, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, -1, out, f"hangs: {err}")
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def _commands(folder: Path, clips: Path) -> dict[str, tuple[list[object], Callable[[Path], object]]]:
    """Each command with what it makes of `folder`, and what must be the same after kills."""
    out = folder / "out"
    listed = sorted(clips.rglob("*.mp4"))
    few = [word for change in FEW for word in ("--set", change)]
    labels = ["-l", "clapping", "-l", "waving"]
    shapes = ["--model", "shapes"]
    return {
        "train": (["train", "finetune", "--tiny", "--init", "shapes", "--data", clips, "--out", out, *few], _weights),
        "verify": (["data", "verify", clips, "--record", out, "--workers", 1], _verified),
        "prepare": (["data", "prepare", clips, out, "--workers", 1], _prepared),
        "evaluate": (["evaluate", "finetune", *shapes, "--data", clips, "--out", out, "--set", FEW_WORKERS], _summary),
        "classify": (["classify", *listed, *labels, *shapes, "--out", out.with_suffix(".jsonl")], _records),
    }


FEW_WORKERS = "train.workers=0"
FULL = 500  # bytes that a file may have on a full disk: fewer than any of these commands writes


def _weights(folder: Path) -> object:
    return {name: tensor.tolist() for name, tensor in load_file(folder / "out" / "last" / "model.safetensors").items()}


def _verified(folder: Path) -> object:
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines() if line]
    return sorted({(line["name"], line["frames"], line["problem"]) for line in lines})


def _prepared(folder: Path) -> object:
    with (folder / "out" / "manifest.csv").open(newline="") as file:
        rows = [(Path(row["path"]).name, row["label"]) for row in csv.DictReader(file)]
    parts = [path.name for path in (folder / "out").rglob("*.part")]
    return rows, parts, sorted(path.name for path in (folder / "out" / "videos").rglob("*.mp4"))


def _summary(folder: Path) -> object:
    found = json.loads((folder / "out" / "summary.json").read_text())
    return found["top1"], found["videos"], found["confusion"]


def _records(folder: Path) -> object:
    records = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    return [(record["video"], record["predictions"][0]) for record in records]


def kills(options: Options) -> list[Row]:
    """`kill -9` at random moments of each command; run again, it ends with what it makes when nobody kills it."""
    clips = write_dataset(options.folder / "clips", 3, broken=None)
    rows: list[Row] = []
    for name in ("classify", "verify") if options.fast else tuple(_commands(options.folder, clips)):
        row = Row(f"kill -9: {name}")
        (options.folder / name).mkdir()
        words, result = _commands(options.folder / name, clips)[name]
        begun = time.perf_counter()
        whole = run(*words)
        length = time.perf_counter() - begun
        if whole.returncode:
            rows.append(Row(row.name, 1, [f"not even once: {whole.stderr[-200:]}"]))
            continue
        wanted = result(options.folder / name)
        for number in range(options.few(10, 1)):
            place = options.folder / f"{name}-{number}"
            place.mkdir()
            words, _ = _commands(place, clips)[name]
            chance = random.Random(f"{options.seed}/{name}/{number}")
            _kill(words, chance.uniform(0.2, 1.0) * length)
            said = "" if _is_whole(name, place) else _again(name, words, place)
            row.check(not said and result(place) == wanted, f"moment {number}: {said or 'another result'}")
            shutil.rmtree(place)
        rows.append(row)
    return rows


def _is_whole(name: str, place: Path) -> bool:
    """True if the command was killed after its work: of `evaluate`, whose summary is written last and is rightly not
    replaced."""
    return name == "evaluate" and (place / "out" / "summary.json").is_file()


def _again(name: str, words: Sequence[object], place: Path) -> str:
    """Runs a command that was killed: nothing where it ends well, or else what it says."""
    begun = {"train": (place / "out" / "last").is_dir(), "classify": any(place.iterdir())}.get(name, False)
    ended = run(*words, *(["--resume"] if begun else []))
    return ended.stderr[-200:] or f"exit status {ended.returncode}" if ended.returncode else ""


def _kill(words: Sequence[object], seconds: float) -> None:
    process = start(*words)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def disks(options: Options) -> list[Row]:
    """A disk that takes no more, by the limit on files, and a folder that may not be written to."""
    row = Row("full and read-only disks")
    clips = write_dataset(options.folder / "clips", 1, broken=None)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    for name in ("train", "classify") if options.fast else ("train", "prepare", "evaluate", "classify"):
        place = options.folder / name
        place.mkdir()
        words, _ = _commands(place, clips)[name]
        ended = run(*words, preexec_fn=full)
        row.check(_told(ended), f"{name}, full: {ended.returncode} {ended.stderr[-200:]}")
    if os.getuid():  # root may write everywhere
        closed = options.folder / "closed"
        closed.mkdir(mode=0o500)
        for name in ("train", "evaluate"):
            words, _ = _commands(closed, clips)[name]
            row.check(_told(run(*words)), f"{name}, read-only")
    for name in ("train", "evaluate", "classify"):
        words, _ = _commands(Path("/proc/nowhere"), clips)[name]
        row.check(_told(run(*words)), f"{name}, where nothing can be written")
    return [row]


def _told(ended: subprocess.CompletedProcess[str]) -> bool:
    last = (ended.stderr.strip().splitlines() or [""])[-1]
    return ended.returncode in (1, 2) and "Traceback" not in ended.stderr and last.startswith("crossframe:")


def limits(options: Options) -> list[Row]:
    """`ulimit -v`: what fits is done, and no hard limit is raised; a file that needs too much costs itself alone."""
    row = Row("ulimit -v")
    clips = write_dataset(options.folder / "clips", 1, broken=None)
    words = ["classify", *sorted(clips.rglob("*.mp4")), "-l", "clapping", "-l", "waving", "--model", "shapes", "--json"]
    for gigabytes in (8,) if options.fast else (4, 8, 16):
        size = gigabytes << 30

        def limited(size: int = size) -> None:
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

        ended = run(*words, preexec_fn=limited)
        row.check(ended.returncode == 0 and ended.stdout.count("\n") == 3, f"{gigabytes} GB: {ended.stderr[-200:]}")
    return [row]
