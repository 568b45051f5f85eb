"""What continuous integration runs: a browser is installed where it may be, and nothing depends on that."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("user", "installs", "has", "asked", "said"),
    [
        (0, True, False, 2, ""),
        (0, False, False, 1, ".ci/run: chromium cannot be installed; tests in a browser are skipped\n"),
        (0, True, True, 0, ""),
        (1000, True, False, 0, ""),
    ],
)
def test_a_browser_is_installed_where_it_may_be(
    user: int, installs: bool, has: bool, asked: int, said: str, tmp_path: Path
) -> None:
    programs = {
        "id": f"echo {user}",
        "apt-get": f'echo "apt-get $*" >> {tmp_path}/log; {"true" if installs else "false"}',
        "make": f'echo "make $*" >> {tmp_path}/log',
        **({"chromium": "true"} if has else {}),
    }
    for name, does in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    done = subprocess.run(["sh", ROOT / ".ci/run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, said)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-1] == "make test"
    assert len(lines) == asked + 1
    if asked == 2:
        assert lines[1] == "apt-get install --yes --no-install-recommends chromium"
