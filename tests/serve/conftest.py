"""A server in this process, and one in a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
from starlette.testclient import TestClient

from crossframe import Recognizer
from crossframe.serve.app import make_app
from crossframe.serve.settings import Settings
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip
from tests.archive.conftest import make_index

LABELS = ["a circle is pulsing", "a square is moving left", "a triangle is moving up"]
MADE_BY = {"model": "shapes", "weights": "0", "template": None, "precision": "float32", "descriptions": None}

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    return Recognizer.from_pretrained("shapes", precision="float32")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three clips, 0.mp4 to 2.mp4."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(3):
        write_clip(draw(Split.TEST, 7, index * 5), folder / f"{index}.mp4")
    return folder


@pytest.fixture(scope="session")
def index(recognizer: Recognizer, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the three clips."""
    folder = tmp_path_factory.mktemp("archive") / "index"
    make_index(folder, sorted(clips.glob("*.mp4")), recognizer, summary=True)
    return folder


@pytest.fixture(scope="session")
def serve(recognizer: Recognizer, clips: Path) -> Iterator[Serve]:
    """Starts a server with settings that are not the usual ones; it is the same for the same settings."""
    running: dict[str, TestClient] = {}

    def start(**settings: object) -> TestClient:
        key = repr(sorted(settings.items()))
        if key not in running:
            usual = {"folders": (clips,), "hosts": ("testserver",), "made_by": MADE_BY}
            client = TestClient(make_app(recognizer, Settings(**usual | settings)), raise_server_exceptions=False)  # pyright: ignore[reportArgumentType]
            running[key] = client.__enter__()
        return running[key]

    yield start
    for client in running.values():
        client.__exit__(None, None, None)


@dataclass
class Running:
    """A server in a process of its own: its port, and all that it has written."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def running(*options: object, **environment: str) -> Iterator[Running]:
    """`crossframe serve` with these options."""
    command = [sys.executable, "-m", "crossframe", "serve", "--model", "shapes", "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    lines: list[str] = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            lines.append(line.rstrip())
            if found := re.search(r"listening on http://.+:(\d+)$", lines[-1]):
                break
        else:
            raise AssertionError("\n".join(lines))
        rest = Thread(target=lambda: lines.extend(map(str.rstrip, process.stderr or ())), daemon=True)
        rest.start()
        yield Running(process, int(found[1]), lines)
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="session")
def server(clips: Path, index: Path) -> Iterator[Running]:
    """The usual server, with the folder of clips and the index."""
    with running("--folder", clips, "--index", index, "--precision", "float32") as found:
        yield found
