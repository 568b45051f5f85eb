"""The container's steps, taken from the Dockerfile: what it copies is there, and its commands make a server."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PORT = "8000"


def steps(kind: str) -> list[str]:
    """What follows this instruction, for each time that it stands in the Dockerfile."""
    return re.findall(rf"^{kind}\s+(.+)$", (ROOT / "Dockerfile").read_text(), flags=re.M)


def test_it_is_slim_runs_as_nobody_in_particular_and_is_asked_for_its_health() -> None:
    assert all(image.startswith("python:3.11-slim") for image in steps("FROM"))
    (user,) = steps("USER")
    assert user == "crossframe"
    (health,) = steps("HEALTHCHECK")
    assert f"127.0.0.1:{PORT}/healthz" in health
    (entry,) = steps("ENTRYPOINT")
    assert json.loads(entry)[:2] == ["crossframe", "serve"]


def test_what_is_sent_to_the_build_is_what_it_needs_and_is_there() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    assert {"src", "pyproject.toml", "constraints.txt"} <= set(kept)
    assert [name for name in kept if not (ROOT / name).exists()] == []


def test_the_compose_file_publishes_on_loopback_and_insists_on_a_token() -> None:
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert service["environment"]["CROSSFRAME_TOKEN"].startswith("${CROSSFRAME_TOKEN:?")
    assert service["read_only"] is True
    assert all(mount.endswith(":ro") for mount in service["volumes"] if mount.startswith("./"))


@pytest.mark.slow
def test_its_steps_make_a_server_in_a_clean_environment(tmp_path: Path) -> None:
    """Where there is no Docker: the steps that install and start, with the paths of the image moved to a folder."""
    source = tmp_path / "source"
    source.mkdir()
    for name in (line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")):
        subprocess.run(["cp", "-r", ROOT / name, source], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    opt = str(tmp_path / "crossframe")
    for step in steps("RUN"):
        if "/opt/crossframe" in step:
            command = step.replace("/opt/crossframe", opt).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(shlex.split(command), cwd=source, env=environment, check=True)
    (entry,), (command,), (health,) = steps("ENTRYPOINT"), steps("CMD"), steps("HEALTHCHECK")
    words = [word.replace(PORT, "18000") for word in json.loads(entry)]
    start = [f"{opt}/bin/{words[0]}", *words[1:], *json.loads(command)]
    check = json.loads(health[health.index("CMD ") + 4 :].replace(PORT, "18000"))
    process = subprocess.Popen(start, cwd=tmp_path, env=environment)
    try:
        for _ in range(120):
            done = subprocess.run([f"{opt}/bin/{check[0]}", *check[1:]], env=environment, stderr=subprocess.DEVNULL)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        assert done.returncode == 0
        example = httpx.get("http://127.0.0.1:18000/examples/example-1.mp4").content
        asked = {"files": {"video": example}, "data": {"labels": ["an orange star moving right", "a car"]}}
        answer = httpx.post("http://127.0.0.1:18000/v1/classify", **asked, timeout=60)
        assert answer.json()["accepted"] == ["an orange star moving right"]
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
