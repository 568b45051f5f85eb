"""`crossframe serve`: mistakes are said before anything slow is done."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Run
from tests.serve.conftest import running


def test_mistakes_are_one_line(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    outcome = command("serve", "--model", "shapes", "--token-file", empty)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == f"crossframe: {empty}: holds no token; write one line into it\n"
    outcome = command("serve", "--model", "shapes", "--folder", empty)
    assert outcome.status == 2
    assert "token is no folder" in outcome.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = command("serve", "--model", "shapes", "--port", port)
    assert outcome.status == 1
    assert outcome.err.startswith(f"crossframe: 127.0.0.1:{port} cannot be listened on (address already in use); give")
    assert outcome.err.count("\n") == 1
    monkeypatch.setattr(sys.modules["crossframe.cli.serve"], "find_spec", lambda _: None)
    outcome = command("serve", "--model", "shapes")
    assert outcome.status == 1
    assert "fastapi is not installed; this brings what a server needs: " in outcome.err


def test_labels_of_a_file_and_a_token_of_the_environment_are_the_servers_own(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a circle is pulsing\na square is moving left\n")
    with running("--labels", labels, CROSSFRAME_TOKEN="open sesame") as server:
        asked = {"content": b"", "headers": {"content-type": "video/mp4"}}
        assert httpx.post(f"{server.address}/v1/classify", **asked).status_code == 401
        asked["headers"] |= {"authorization": "Bearer open sesame"}
        answer = httpx.post(f"{server.address}/v1/classify", **asked)
        assert answer.json()["error"].startswith("upload: is empty")  # and not that there are no labels
        os.kill(server.process.pid, signal.SIGINT)
        assert server.process.wait(timeout=60) == 0
    assert not any("Traceback" in line or "sesame" in line for line in server.lines)
