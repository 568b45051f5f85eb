"""Those who mean no good, or whose network does not: they are refused in words, and the server goes on."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.torture.report import Options
from benchmarks.torture.videos import DAMAGE, streams
from crossframe import Recognizer
from crossframe.serve.settings import Places, RefusedError
from tests.serve.conftest import LABELS, Running, Serve, running

HEAD = "POST /v1/classify?labels=a HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n"
SCRIPTS = (
    '<img src=x onerror="alert(1)">.mp4',
    "</script><script>alert(1)</script>",
    "\u202egnp.mp4",
    "{{ 7 * 7 }}",
    "' OR 1=1 --",
)


@pytest.fixture(scope="module")
def narrow(clips: Path) -> Iterator[Running]:
    """A server with little patience and little room, which computes clips together."""
    together = ("--batch-size", 4, "--latency", 100, "--precision", "float32")
    with running("--max-size", 1, "--max-seconds", 4, "--queue", 4, *together) as found:
        yield found


@pytest.fixture(scope="module")
def opened_folder(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """A folder with links that lead out of it, beside a file that is nobody's business."""
    folder = tmp_path_factory.mktemp("around") / "open"
    folder.mkdir()
    (folder.parent / "secret.mp4").write_bytes((clips / "0.mp4").read_bytes())
    (folder / "link.mp4").symlink_to(folder.parent / "secret.mp4")
    (folder / "loop").symlink_to(folder / "loop")
    return folder


def idle(server: Running) -> None:
    """Returns when no request is in work; the test fails if one is kept."""
    for _ in range(200):
        if "crossframe_requests_taken 0.0" in httpx.get(f"{server.address}/metrics").text:
            return
        time.sleep(0.05)
    raise AssertionError("a request is still in work")


def counted(server: Running, name: str) -> float:
    """A counter of the server; 0 if it has counted nothing yet."""
    lines = httpx.get(f"{server.address}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"crossframe_{name} "))


def connect(server: Running, text: str) -> socket.socket:
    there = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    there.sendall(text.encode())
    return there


def rest(there: socket.socket) -> str:
    """All that comes until the server ends the connection."""
    parts: list[bytes] = []
    try:
        while part := there.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    "path",
    [
        "../secret.mp4",
        "/etc/passwd",
        "a/../../secret.mp4",
        "./../secret.mp4",
        "link.mp4",
        "loop",
        "http://127.0.0.1:1/x.mp4",
        "file:///etc/passwd",
        "concat:a|b",
        "s3://bucket/x.mp4",
        "nul\0.mp4",
        "x" * 4000,
    ],
)
def test_paths_lead_out_of_no_folder(serve: Serve, opened_folder: Path, path: str) -> None:
    answer = serve(folders=(opened_folder,)).post("/v1/classify", json={"path": path, "labels": LABELS})
    could_be_there = path in ("concat:a|b", "x" * 4000)
    assert answer.status_code == (404 if could_be_there else 403), answer.text
    said = "is not there" if could_be_there else "lies in no folder of this server"
    assert said in answer.json()["error"]


def test_where_no_folder_is_open_no_path_is_read(serve: Serve, clips: Path) -> None:
    answer = serve(folders=()).post("/v1/classify", json={"path": str(clips / "0.mp4"), "labels": LABELS})
    assert answer.status_code == 403


@pytest.mark.parametrize("name", [*SCRIPTS, "../../etc/passwd", "C:\\x\\clip.mp4", "x" * 1000])
def test_names_and_labels_stay_text(server: Running, clips: Path, name: str) -> None:
    label = name[:30]
    files = {"video": (name, (clips / "0.mp4").read_bytes(), "video/mp4")}
    answer = httpx.post(f"{server.address}/v1/classify", data={"labels": [label, "b"]}, files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = answer.json()
    assert label in {each["label"] for each in found["predictions"]}
    assert len(found["video"]) <= 200
    assert "etc" not in found["video"]
    assert not found["video"].startswith("C:")
    assert not any(name in line for line in server.lines)


def test_ten_gigabytes_are_refused_before_they_come(server: Running) -> None:
    with connect(server, f"{HEAD}Content-Length: 10000000000\r\n\r\n") as there:
        answer = rest(there)
    assert answer.startswith("HTTP/1.1 413 ")
    assert "the video has more than 256 MB; send a smaller one, or a path" in answer  # as --max-size says
    idle(server)


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(narrow: Running) -> None:
    block = f"{1 << 18:x}\r\n{'x' * (1 << 18)}\r\n"
    with connect(narrow, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n") as there:
        for _ in range(12):  # 3 MB, where one is allowed and one more is for what goes with it
            try:
                there.sendall(block.encode())
            except OSError:
                break
        else:
            there.sendall(b"0\r\n\r\n")
        answer = rest(there)
    assert not answer or answer.startswith("HTTP/1.1 413 ")
    idle(narrow)


def test_clients_that_are_slow_or_go_away_hold_no_place(narrow: Running, clips: Path) -> None:
    stalled = connect(narrow, f"{HEAD}Content-Length: 1000\r\n\r\nab")
    silent = connect(narrow, "")
    unfinished = connect(narrow, "POST /v1/classify HTTP/1.1\r\nHost: loc")
    half = connect(narrow, f"{HEAD}Content-Length: 1000\r\n\r\nab")
    half.shutdown(socket.SHUT_WR)
    content = (clips / "0.mp4").read_bytes()
    gone = connect(narrow, f"{HEAD}Content-Length: {len(content)}\r\n\r\n")
    gone.sendall(content)
    gone.close()
    assert rest(stalled).startswith("HTTP/1.1 408 ")
    assert rest(silent) == rest(unfinished) == rest(half) == ""
    idle(narrow)
    answer = httpx.post(
        f"{narrow.address}/v1/classify", files={"video": content}, data={"labels": ["a", "b"]}, timeout=60
    )
    assert answer.status_code == 200


def test_a_flood_is_refused_at_once_and_the_server_recovers(
    narrow: Running, clips: Path, recognizer: Recognizer
) -> None:
    files: dict[str, Any] = {"video": (clips / "0.mp4").read_bytes()}
    limits = httpx.Limits(max_connections=16)
    with httpx.Client(base_url=narrow.address, limits=limits, timeout=60) as client, ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda _: client.post("/v1/classify", files=files, data={"labels": LABELS}), range(48))
        )
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 503}
    expected = dict(recognizer.classify(clips / "0.mp4", LABELS).top())
    for answer in answers:
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert "requests wait already; try again in" in answer.json()["error"]
        else:  # whichever clips were computed together
            scores = {each["label"]: each["score"] for each in answer.json()["predictions"]}
            assert scores == pytest.approx(expected, abs=1e-5)
    idle(narrow)
    counted = dict(line.rsplit(" ", 1) for line in httpx.get(f"{narrow.address}/metrics").text.splitlines())
    assert float(counted["crossframe_batch_clips_sum"]) > float(counted["crossframe_batch_clips_count"])
    assert httpx.get(f"{narrow.address}/readyz").status_code == 200


def test_those_who_are_turned_away_can_still_read_why(narrow: Running) -> None:
    held = [connect(narrow, f"{HEAD}Content-Length: 1000\r\n\r\nab") for _ in range(4)]
    while "crossframe_requests_taken 4.0" not in httpx.get(f"{narrow.address}/metrics").text:
        time.sleep(0.01)
    before = counted(narrow, 'requests_total{route="/v1/classify",status="503"}')
    long = "x" * 900_000  # more than arrives at once
    many = [connect(narrow, f"{HEAD}Content-Length: {len(long)}\r\n\r\n{long}") for _ in range(20)]
    for answer in map(rest, many):
        head, _, body = answer.partition("\r\n\r\n")
        lines = head.lower().split("\r\n")
        assert lines[0] == "http/1.1 503 service unavailable"
        assert f"content-length: {len(body)}" in lines
        assert {"connection: close", "cache-control: no-store", "x-content-type-options: nosniff"} <= {*lines}
        name = next(line.partition(": ")[2] for line in lines if line.startswith("x-request-id"))
        assert any(f'"request": "{name}", "route": "/v1/classify", "status": 503' in line for line in narrow.lines)
        assert json.loads(body)["error"].startswith("4 requests wait already; try again in ")
    assert counted(narrow, 'requests_total{route="/v1/classify",status="503"}') == before + 20
    assert httpx.get(f"{narrow.address}/healthz").status_code == 200
    for there in (*held, *many):
        there.close()
    idle(narrow)


def test_damaged_files_and_files_that_are_none_cost_their_own_request_alone(server: Running, clips: Path) -> None:
    sound = (clips / "1.mp4").read_bytes()
    chance = random.Random(0)
    bodies = [
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"PK\x03\x04" + bytes(200),
        bytes(1000),
        os.urandom(5000),
    ]
    for damage in DAMAGE.values():
        changed = bytearray(sound)
        damage(changed, chance)
        bodies.append(bytes(changed))
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for body in bodies:
            answer = client.post("/v1/classify", files={"video": ("x.mp4", body)}, data={"labels": LABELS})
            assert answer.status_code in (200, 422), answer.text
            if answer.status_code == 422:
                assert answer.json()["error"].startswith("x.mp4: ")
                assert "crossframe-serve" not in answer.text
        again = client.post("/v1/classify", files={"video": ("x.mp4", sound)}, data={"labels": LABELS})
    assert again.status_code == 200
    idle(server)


@pytest.mark.slow
def test_damaged_streams_of_every_kind_are_answered_or_refused_in_a_line(server: Running, tmp_path: Path) -> None:
    chance = random.Random(1)
    with httpx.Client(base_url=server.address, timeout=120) as client:
        for sound, name in streams(Options(fast=False, seed=0, folder=tmp_path)):
            for kind, damage in DAMAGE.items():
                changed = bytearray(sound.read_bytes())
                damage(changed, chance)
                files = {"video": (f"{kind}-{name}", bytes(changed))}
                answer = client.post("/v1/classify", files=files, data={"labels": LABELS})
                assert answer.status_code in (200, 422), answer.text
                assert "\n" not in answer.json().get("error", "")
    idle(server)


def test_what_it_took_is_finished_at_the_end_and_nothing_is_left(clips: Path, tmp_path: Path) -> None:
    content = (clips / "0.mp4").read_bytes()
    with running(TMPDIR=str(tmp_path)) as server:
        assert [*tmp_path.iterdir()]
        there = connect(server, f"{HEAD}Content-Length: {len(content)}\r\n\r\n")
        there.sendall(content[:1000])
        while "crossframe_requests_taken 1.0" not in httpx.get(f"{server.address}/metrics").text:
            time.sleep(0.02)
        server.process.terminate()
        time.sleep(0.2)
        there.sendall(content[1000:])
        assert rest(there).startswith("HTTP/1.1 200 ")
        assert server.process.wait(timeout=60) == 0
    assert [*tmp_path.iterdir()] == []


def test_a_place_that_is_taken_is_nobody_elses() -> None:
    places = Places(1)
    with places.one():
        assert not places.free
        with pytest.raises(RefusedError, match="1 requests wait already; try again in 1 s"), places.one():
            pass
    assert places.free
