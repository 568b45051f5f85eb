from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crossframe.cores import cores, share_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_a_process_that_may_use_one_processor_counts_one() -> None:
    allowed = os.sched_getaffinity(0)
    assert cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_without_such_bounds_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


SPINS = "GOMP_SPINCOUNT"


def test_threads_sleep_soon_unless_a_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SPINS, "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    share_cores()
    assert os.environ[SPINS] == "1000"
    monkeypatch.setenv(SPINS, "5")
    share_cores()
    assert os.environ[SPINS] == "5"
    monkeypatch.delenv(SPINS)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    share_cores()
    assert SPINS not in os.environ


def test_the_command_line_says_so_before_torch_is_there() -> None:
    code = """
import os, sys
from crossframe.cli import main
assert "torch" not in sys.modules
try:
    main(["--version"])
except SystemExit:
    print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules)
"""
    kept = {name: value for name, value in os.environ.items() if name not in (SPINS, "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1000 False"
