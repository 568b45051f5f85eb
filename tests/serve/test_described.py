"""The API is what it says of itself: requests made of its own OpenAPI, good and bad ones, get what that promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.serve.conftest import Running


def test_requests_made_of_its_own_description_get_what_it_promises(server: Running, tmp_path: Path) -> None:
    configuration = str(Path(__file__).with_name("schemathesis.toml"))
    program = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
    command = [sys.executable, "-c", program, "--config-file", configuration, "run", f"{server.address}/openapi.json"]
    options = ["--max-examples", "10", "--seed", "1", "--continue-on-failure"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "8 passed" in done.stdout


def test_it_has_examples_and_says_how_it_refuses(server: Running) -> None:
    described = httpx.get(f"{server.address}/openapi.json").json()
    for path in ("/v1/classify", "/v1/explain", "/v1/timeline", "/v1/embed", "/v1/search"):
        operation = described["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["example"]
        assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/json", "video/*"}
        assert {"200", "404", "413", "422", "503", "504"} <= set(operation["responses"])
