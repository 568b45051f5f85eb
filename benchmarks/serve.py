"""A server under load, beside the plain loop on the same clips: answers, seconds, refusals, and what is left over.

    python -m benchmarks.serve --save     # then python -m benchmarks.tables

`CLIENTS` clients ask for two minutes without a pause, each about the next of a few drawn clips, as an upload over
loopback; every answer is compared with that of `classify`. Then `FLOOD` ask at once, more than the queue holds, and
twice as many at 200 a second, more than is served. Client and server share the machine's processors, so the server's
throughput is a lower bound.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np

from benchmarks.harness import Bar, Options, Result, run
from crossframe.shapes.caption import all_sentences
from crossframe.shapes.splits import Split, draw
from crossframe.shapes.write import write_clip

CLIENTS, SECONDS, FLOOD = 64, 120.0, 256
CLIPS = 8
# One call of `classify` after the other, in a process that shares processors as the commands do.
PLAIN = """
import json, sys, time
from crossframe.processes import share_cores

share_cores()
from crossframe import Recognizer

asked, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
recognizer = Recognizer.from_pretrained("shapes")
scores = {path: dict(recognizer.classify(path, labels).top(len(labels))) for path, labels in asked.items()}
done, begun = 0, time.perf_counter()
while time.perf_counter() - begun < seconds:
    path = list(asked)[done % len(asked)]
    recognizer.classify(path, asked[path])
    done += 1
print(json.dumps({"rate": done / (time.perf_counter() - begun), "scores": scores}))
"""
BOUNDARY = "a-clip-follows"
NEAR = 1e-4  # of a score


@dataclass(frozen=True, slots=True)
class Question:
    """A request about a clip, and the scores that `classify` gives."""

    body: bytes
    scores: dict[str, float]


@dataclass(slots=True)
class Seen:
    """What clients saw: seconds and status of each request, and the largest difference of a score."""

    seconds: list[float] = field(default_factory=list[float])
    statuses: Counter[int] = field(default_factory=Counter[int])
    refusals: list[float] = field(default_factory=list[float])
    difference: float = 0.0

    def add(self, other: Seen) -> None:
        self.seconds += other.seconds
        self.statuses += other.statuses
        self.refusals += other.refusals
        self.difference = max(self.difference, other.difference)


def measure(options: Options) -> Result:
    clients, seconds, flood = (8, 2.0, 96) if options.tiny else (CLIENTS, SECONDS, FLOOD)
    with TemporaryDirectory(prefix="bench-serve-") as folder:
        asked = dict(_clip(Path(folder), number) for number in range(CLIPS))
        loop, scores = _plain_loop(asked, min(seconds, 20.0))
        questions = [Question(_body(path, labels), scores[path]) for path, labels in asked.items()]
        with _server(Path(folder)) as (process, port):
            _ask(port, questions[0])
            before = _held(process.pid, Path(folder))
            load = Seen()
            begun = time.perf_counter()
            with ThreadPoolExecutor(clients) as threads:
                for seen in threads.map(lambda n: _client(port, questions, n, begun + seconds), range(clients)):
                    load.add(seen)
            lasted = time.perf_counter() - begun
            flooded = {
                "at once": _flood(port, questions[0], flood),
                "200 a second": _flood(port, questions[0], 2 * flood, apart=0.005),
            }
            again = _ask(port, questions[0])
            time.sleep(1.0)
            after = _held(process.pid, Path(folder))
    return _result(load, lasted, loop, flooded, again, (before, after))


def _result(
    load: Seen,
    lasted: float,
    loop: float,
    flooded: Mapping[str, Seen],
    again: Seen,
    held: tuple[dict[str, float], dict[str, float]],
) -> Result:
    before, after = held
    served = len(load.seconds) / lasted
    refused = {how: _shares(seen.refusals) for how, seen in flooded.items()}
    wrong = sum(load.statuses.values()) - load.statuses[200]
    bars = [
        Bar("requests that failed or were lost", wrong, 0, at_most=True),
        Bar("largest difference of a score from classify", load.difference, NEAR, at_most=True),
        Bar("served / plain loop, clips a second", served / loop, 0.5),
        Bar("refusals at 200 requests a second, seconds (p95)", refused["200 a second"]["p95"], 0.1, at_most=True),
        Bar(f"refusals of {FLOOD} requests at once, seconds (p95)", refused["at once"]["p95"], 0.1, at_most=True),
        Bar("answered after the flood", again.statuses[200], 1),
        Bar("memory after / before", after["megabytes"] / before["megabytes"], 1.25, at_most=True),
        Bar("files left over", after["files"] - before["files"], 0, at_most=True),
        Bar("descriptors left over", after["descriptors"] - before["descriptors"], 4, at_most=True),
    ]
    rows: list[dict[str, Any]] = [
        {"way": "server", "clips a second": served, **_shares(load.seconds)},
        {"way": "plain loop", "clips a second": loop, "p50": 1 / loop},
        *(
            {"flood": how, "answered": seen.statuses[200], "refused": seen.statuses[503], **refused[how]}
            for how, seen in flooded.items()
        ),
        {"held": "before", **before},
        {"held": "after", **after},
    ]
    notes = [f"{sum(load.statuses.values())} requests in {lasted:.0f} s; clients and server share the processors"]
    return Result(bars, rows, notes)


def _shares(seconds: list[float]) -> dict[str, float]:
    found = np.quantile(seconds or [0.0], (0.5, 0.95, 0.99, 1.0)).tolist()
    return dict(zip(("p50", "p95", "p99", "slowest"), found, strict=True))


def _clip(folder: Path, number: int) -> tuple[str, list[str]]:
    """A drawn clip, and all that its object could do."""
    scene = draw(Split.TEST, 31, 5 * number)
    return str(write_clip(scene, folder / f"{number}.mp4")), list(all_sentences(scene).values())


def _body(path: str, labels: list[str]) -> bytes:
    parts = [_part("labels", label.encode()) for label in labels]
    parts.append(_part('video"; filename="clip.mp4', Path(path).read_bytes()))
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(name: str, content: bytes) -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


def _plain_loop(asked: Mapping[str, list[str]], seconds: float) -> tuple[float, dict[str, dict[str, float]]]:
    """Clips a second, and the scores of each clip."""
    command = [sys.executable, "-c", PLAIN, json.dumps(asked), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["rate"], found["scores"]


@contextmanager
def _server(folder: Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    (folder / "temporary").mkdir()
    command = [sys.executable, "-m", "crossframe", "serve", "--model", "shapes", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True, env=environment)
    try:
        while not (found := re.search(r"listening on http://.+:(\d+)$", (folder / "log").read_text(), flags=re.M)):
            if process.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.1)
        yield process, int(found[1])
    finally:
        process.terminate()
        process.wait(timeout=60)


def _client(port: int, questions: list[Question], first: int, until: float) -> Seen:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    seen, number = Seen(), first
    while time.perf_counter() < until:
        _ask_once(connection, questions[number % len(questions)], seen)
        number += 1
    connection.close()
    return seen


def _ask(port: int, question: Question) -> Seen:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    seen = Seen()
    _ask_once(connection, question, seen)
    connection.close()
    return seen


def _ask_once(connection: http.client.HTTPConnection, question: Question, seen: Seen) -> None:
    begun = time.perf_counter()
    try:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/v1/classify?top=100", question.body, headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        seen.statuses[0] += 1
        connection.close()
        return
    took = time.perf_counter() - begun
    seen.statuses[answer.status] += 1
    if answer.status == 503:
        seen.refusals.append(took)
    if answer.status != 200:
        return
    seen.seconds.append(took)
    found = {each["label"]: each["score"] for each in json.loads(body)["predictions"]}
    seen.difference = max(seen.difference, *(abs(found[label] - score) for label, score in question.scores.items()))


def _flood(port: int, question: Question, requests: int, apart: float = 0.0) -> Seen:
    """Requests on connections of their own, one every `apart` seconds; one thread asks, so that it costs little."""
    form = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(question.body)}"
    request = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n{form}\r\n\r\n".encode() + question.body
    seen, sent = Seen(), dict[socket.socket, float]()
    begun = time.perf_counter()
    with selectors.DefaultSelector() as waiting:
        while len(sent) < requests or waiting.get_map():
            left = begun + len(sent) * apart - time.perf_counter()
            if len(sent) < requests and left <= 0:
                there = socket.create_connection(("127.0.0.1", port), timeout=120)
                sent[there] = time.perf_counter()
                there.sendall(request)
                waiting.register(there, selectors.EVENT_READ)
                continue
            for key, _ in waiting.select(left if len(sent) < requests else None):
                there = cast("socket.socket", key.fileobj)
                status = int(there.recv(1 << 16).split(maxsplit=2)[1])
                seen.statuses[status] += 1
                if status == 503:
                    seen.refusals.append(time.perf_counter() - sent[there])
                waiting.unregister(there)
                there.close()
    return seen


def _held(process: int, folder: Path) -> dict[str, float]:
    """What a process holds: megabytes of memory, open descriptors, files in its temporary folder."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # pyright: ignore[reportOptionalSubscript]
    descriptors = len(os.listdir(f"/proc/{process}/fd"))
    files = sum(1 for path in (folder / "temporary").rglob("*") if path.is_file())
    return {"megabytes": kilobytes / 1024, "descriptors": descriptors, "files": files}


if __name__ == "__main__":
    run("serve", measure)
