"""Readers of our own against bytes and texts that nobody wrote: they raise what they say, soon, and run nothing.

With `atheris` (the group `torture`) mutations are guided by coverage; without it they are drawn at random.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

import av
import torch

import crossframe
from benchmarks.torture.report import Options, Row
from crossframe.data.lists import read_table
from crossframe.text.label_files import read_labels
from crossframe.text.labels import read_descriptions
from crossframe.video.headers import Unproven
from crossframe.video.plan import HEADERS
from crossframe.weights import WeightsError
from crossframe.weights.archive import read_tensors
from tests.video.clips import moving, write_clip

SLOW = 5.0  # seconds for an input of a few kilobytes
PARSERS = ("headers", "labels", "descriptions", "lists", "archives")
SEEDS: dict[str, list[bytes]] = {
    "labels": [
        b"arm wrestling\nyoga\n",
        b"0 arm wrestling\n1 yoga\n",
        b"id,name\n0,arm wrestling\n1,yoga\n",
        b'{"0": "arm wrestling", "1": "yoga"}',
        b'["arm wrestling", "yoga"]',
        b"- arm wrestling\n- yoga\n",
        b"{=arm\n\nwrestling}",  # found by guided fuzzing
    ],
    "descriptions": [b'{"yoga": ["someone stretches"]}', b"yoga: someone stretches\n"],
    "lists": [
        b"path,label,split,start,end\na.mp4,yoga,train,0,1.5\n",
        b"a.mp4 0\nb.mp4 1\n",
        b'{"path": "a.mp4", "label": "yoga"}\n',
        b"a.mp4\tyoga\nb.mp4\tgolf\n",
    ],
}
ENDINGS = {"labels": (".txt", ".csv", ".json", ".yaml"), "lists": (".csv", ".txt", ".jsonl", ".json", ".tsv")}


def headers(data: bytes, _folder: Path) -> None:
    """The first two bytes choose the codec and how much of the rest is extra data."""
    data = data.ljust(2, b"\0")
    codec = sorted(HEADERS)[data[0] % len(HEADERS)]
    extra = data[2 : 2 + data[1]]
    try:
        read = HEADERS[codec](extra)
        for _ in range(3):
            read(memoryview(data[2 + data[1] :]))
    except Unproven:
        pass


def labels(data: bytes, folder: Path) -> None:
    _read(read_labels, data, folder, "labels")


def descriptions(data: bytes, folder: Path) -> None:
    _read(read_descriptions, data, folder, "descriptions")


def lists(data: bytes, folder: Path) -> None:
    _read(lambda path: read_table(path, ["yoga", "golf"]), data, folder, "lists")


def archives(data: bytes, folder: Path) -> None:
    """The data is the pickle of a checkpoint."""
    path = folder / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", bytes(64))
    try:
        read_tensors(path)
    except WeightsError as error:
        _check_line(error)


def _check_line(error: Exception) -> None:
    if "\n" in str(error):
        raise AssertionError(f"an error of several lines: {error!r}")


def _read(read: Callable[[Path], object], data: bytes, folder: Path, kind: str) -> None:
    endings = ENDINGS.get(kind, (".json", ".yaml"))
    path = folder / f"a{endings[data[0] % len(endings)] if data else endings[0]}"
    path.write_bytes(data[1:])
    try:
        read(path)
    except ValueError as error:
        _check_line(error)


def seeds(kind: str) -> list[bytes]:
    """Sound inputs, to be changed."""
    if kind == "headers":
        return [bytes([n, 40]) + random.Random(n).randbytes(120) for n in range(len(HEADERS) * 2)] + _real_headers()
    if kind == "archives":
        return [pickle.dumps({"a": [1, 2.5, "x", (1,)]}, protocol=2), _real_pickle()]
    return [bytes([n]) + seed for seed in SEEDS[kind] for n in range(len(ENDINGS.get(kind, "xy")))]


def _real_headers() -> list[bytes]:
    found: list[bytes] = []
    for number, codec in enumerate(sorted(HEADERS)):
        encoder = {"h264": "libx264", "hevc": "libx265", "mpeg4": "mpeg4", "vp9": "libvpx-vp9"}.get(codec)
        if encoder is None:
            continue
        options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
        path = write_clip(
            Path(mkdtemp(prefix="torture-")) / "a.mp4", frames=moving(3, 32, 32), codec=encoder, options=options
        )
        with av.open(str(path)) as container:
            extra = container.streams.video[0].codec_context.extradata or b""
            for packet in container.demux(video=0):
                if packet.size and len(extra) < 256:
                    found.append(bytes([number, len(extra)]) + extra + bytes(packet)[:400])
        shutil.rmtree(path.parent)
    return found


def _real_pickle() -> bytes:
    file = BytesIO()
    torch.save({"model": {"a": torch.zeros(4, 4)}, "epoch": 3}, file)
    with zipfile.ZipFile(file) as archive:
        return archive.read("archive/data.pkl")


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes of an input changed, doubled, cut or put in."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        start = chance.randrange(len(made) + 1)
        stop = min(start + chance.choice([0, 1, 4, 16]), len(made))
        made[start:stop] = chance.choice(
            [
                b"",
                bytes([chance.randrange(256)]),
                bytes(made[start:stop]) * 2,
                chance.choice(TOKENS),
                chance.randbytes(3),
            ]
        )
    return bytes(made)


TOKENS = (b"\0", b"\xff\xff\xff\xff", b'"', b"\n", b",", b"{", b"[" * 50, b": ", b"\x80\x02", b"1e999", b"&a *a", b"- ")


def parsers(options: Options) -> list[Row]:
    """Each parser on its own changed inputs."""
    rows: list[Row] = []
    for kind in PARSERS:
        row = Row(f"parsers: {kind}")
        given = seeds(kind)
        for number in range(options.few(4000, 150)):
            data = changed(random.Random(f"{options.seed}/{kind}/{number}").choice(given), random.Random(number))
            started = time.perf_counter()
            try:
                globals()[kind](data, options.folder)
                wrong = None
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"[:120]
            took = time.perf_counter() - started
            row.check(wrong is None and took < SLOW, f"{data[:40]!r}: {wrong or f'{took:.1f} s'}")
        rows.append(row)
    return rows + ([] if options.fast else _guided(options))


def _guided(options: Options, seconds: int = 120) -> list[Row]:
    """Coverage-guided, in a process for each parser; nothing where atheris is not installed."""
    try:
        import atheris  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return [Row("parsers, guided by coverage", note="not tried: install the group 'torture'")]
    row = Row("parsers, guided by coverage", note=f"{seconds} s each")
    for kind in PARSERS:
        corpus = options.folder / kind
        corpus.mkdir()
        for number, seed in enumerate(seeds(kind)):
            (corpus / str(number)).write_bytes(seed)
        code = f"from benchmarks.torture.parsers import fuzz; fuzz({kind!r}, {str(corpus)!r}, {seconds})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds * 5)
        row.check(done.returncode == 0, f"{kind}: {done.stderr[-300:]}")
    return [row]


def fuzz(kind: str, corpus: str, seconds: int) -> None:
    """Run atheris on one parser."""
    import atheris  # pyright: ignore[reportMissingImports]

    with atheris.instrument_imports(include=["crossframe"]):
        for name in [name for name in sys.modules if name.startswith("crossframe.")]:
            del sys.modules[name]
        import importlib

        module = importlib.reload(sys.modules[__name__])
    folder = Path(corpus).parent

    def once(data: bytes) -> None:
        started = time.perf_counter()
        if data:
            getattr(module, kind)(data, folder)
        if time.perf_counter() - started > SLOW:
            raise RuntimeError(f"{data[:40]!r} takes more than {SLOW:g} s")

    # libFuzzer's own limit of time is a signal that Python does not survive.
    atheris.Setup(["fuzz", corpus, f"-max_total_time={seconds}", "-max_len=4096"], once)
    atheris.Fuzz()


def weights(options: Options) -> list[Row]:
    """Checkpoints that want to run code, to fill the memory or to hang; folders whose files say something odd."""
    row = Row("checkpoints and folders, nothing run")
    trap = options.folder / "trap"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {trap}",)

    deep: object = ()
    for _ in range(100):
        deep = (deep, deep)
    wanted = {"w": torch.zeros(2)}
    for number, content in enumerate(
        (
            {"model": wanted, "x": Trap()},
            Trap(),
            {Trap(): 1},
            {"model": {"w": 1}},
            [wanted],
            {"a": {"b": {"c": {}}}},
            {(): deep},
            deep,
        )
    ):
        path = options.folder / f"{number}.pth"
        torch.save(content, path)
        _one_line(row, path, trap)
    (options.folder / "sparse.safetensors").open("wb").truncate(1 << 40)
    _one_line(row, options.folder / "sparse.safetensors", trap)
    good = Path(__file__).parents[2] / "src" / "crossframe" / "bundled" / "shapes"
    chance = random.Random(options.seed)
    for number in range(options.few(150, 10)):
        folder = options.folder / f"model{number}"
        folder.mkdir()
        for file in good.iterdir():
            data = file.read_bytes()
            if file.suffix == ".safetensors":
                header = int.from_bytes(data[:8], "little")
                data = changed(data[: 8 + header], chance) + data[8 + header :] if chance.random() < 0.5 else data
            elif chance.random() < 0.5:
                data = changed(data, chance)
            (folder / file.name).write_bytes(data)
        _one_line(row, folder, trap, may_load=True)
    return [row]


def _one_line(row: Row, path: Path, trap: Path, *, may_load: bool = False) -> None:
    started = time.perf_counter()
    try:
        crossframe.load(path)
        wrong = None if may_load else "was loaded"
    except ValueError as error:
        wrong = "an error of several lines" if "\n" in str(error) else None
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"[:120]
    took = time.perf_counter() - started
    wrong = "it ran code" if trap.exists() else wrong or (None if took < 60 else f"{took:.0f} s")
    row.check(wrong is None, f"{path.name}: {wrong}")
