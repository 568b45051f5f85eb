"""Control groups: both versions of the interface, as files, and a real group where one can be made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from crossframe import processes
from crossframe.processes import MemoryQuota, cpu_quota, memory_quota
from crossframe.train.memory import free_memory
from crossframe.weights.archive import check_memory
from crossframe.weights.errors import WeightsError

GIB = 1 << 30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /sys/fs/cgroup, without any group."""
    monkeypatch.setattr(processes, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(processes, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path / "cgroup"


def put(system: Path, member: str, files: Mapping[str, str]) -> None:
    (system.parent / "membership").write_text(member)
    for name, content in files.items():
        (system / name).parent.mkdir(parents=True, exist_ok=True)
        (system / name).write_text(content)


def test_without_groups_there_is_no_limit(system: Path) -> None:
    assert (cpu_quota(), memory_quota()) == (None, None)
    put(system, "0::/\n", {"cgroup.procs": ""})
    assert (cpu_quota(), memory_quota()) == (None, None)
    put(system, "0::/a\n", {"a/cpu.max": "max 100000\n", "a/memory.max": "max\n", "a/memory.current": "1\n"})
    assert (cpu_quota(), memory_quota()) == (None, None)


def test_the_tightest_of_groups_within_groups_counts(system: Path) -> None:
    inner = {"a/b/cpu.max": "800000 100000\n", "a/b/memory.max": f"{8 * GIB}\n", "a/b/memory.current": f"{GIB}\n"}
    outer = {"a/cpu.max": "150000 100000\n", "a/memory.max": f"{4 * GIB}\n", "a/memory.current": f"{3 * GIB}\n"}
    put(system, "0::/a/b\n", inner | outer)
    assert cpu_quota() == 1.5
    assert memory_quota() == MemoryQuota(4 * GIB, GIB)


def test_files_that_the_kernel_keeps_are_given_back(system: Path) -> None:
    stat = f"anon 5\ninactive_file {2 * GIB}\nactive_file 7\n"
    used = {"memory.max": f"{4 * GIB}\n", "memory.current": f"{4 * GIB}\n", "memory.stat": stat}
    put(system, "0::/\n", used)
    assert memory_quota() == MemoryQuota(4 * GIB, 2 * GIB)


def test_version_1_and_a_path_that_is_only_there_outside(system: Path) -> None:
    member = "11:memory:/docker/0a1b\n4:cpu,cpuacct:/docker/0a1b\n1:name=systemd:/docker/0a1b\n0::/\n"
    memory = {"memory/memory.limit_in_bytes": f"{GIB}\n", "memory/memory.usage_in_bytes": f"{GIB // 2}\n"}
    processor = {"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    put(system, member, memory | processor)
    assert cpu_quota() == 2
    assert memory_quota() == MemoryQuota(GIB, GIB // 2)
    put(system, member, {"memory/memory.limit_in_bytes": "9223372036854771712\n", "cpu,cpuacct/cpu.cfs_quota_us": "-1"})
    assert (cpu_quota(), memory_quota()) == (None, None)


def test_threads_and_workers_are_as_many_as_the_share(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_visible_cores", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # put back afterwards
    monkeypatch.delenv("OMP_NUM_THREADS")
    put(system, "0::/\n", {"cpu.max": "250000 100000\n"})
    assert processes.cores() == 3
    processes.share_cores()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    put(system, "0::/\n", {"cpu.max": "10000 100000\n"})
    assert processes.cores() == 1
    processes.share_cores()
    assert os.environ["OMP_NUM_THREADS"] == "3"  # somebody set it


def test_memory_that_a_group_lacks_is_neither_planned_nor_taken(system: Path) -> None:
    import torch

    put(system, "0::/\n", {"memory.max": f"{GIB // 4}\n", "memory.current": f"{GIB // 8}\n"})
    assert free_memory(torch.device("cpu")) == GIB // 8
    check_memory(GIB // 4)
    with pytest.raises(WeightsError, match=r"take 0\.5 GiB, and this process may take 0\.2 GiB of memory"):
        check_memory(GIB // 2)


@pytest.fixture
def group() -> Iterator[Path]:
    """A real group of 256 MiB and half a processor."""
    first = Path("/sys/fs/cgroup/memory").is_dir()  # version 1 has a tree for each controller
    folders = [processes.GROUPS / kind / "crossframe-test" for kind in (("memory", "cpu") if first else ("",))]
    limits = {"memory.limit_in_bytes": "256M", "cpu.cfs_quota_us": "50000", "memory.max": "256M", "cpu.max": "50000"}
    try:
        for folder in folders:
            folder.mkdir()
        for folder in folders:
            for name, value in limits.items():
                if (folder / name).exists():
                    (folder / name).write_text(value)
        yield folders[0]
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error}); run as root where /sys/fs/cgroup can be written")
    finally:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()


def test_a_real_group_is_seen_from_within(group: Path) -> None:
    groups = [group, Path(str(group).replace("/memory/", "/cpu/"))]
    program = (
        "import os, sys; from pathlib import Path\n"
        "for group in sys.argv[1:]: Path(group, 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from crossframe.processes import cores, cpu_quota, memory_quota\n"
        "print(memory_quota().limit, memory_quota().left < memory_quota().limit, cpu_quota(), cores())"
    )
    output = subprocess.run([sys.executable, "-c", program, *map(str, groups)], capture_output=True, text=True)
    assert output.stdout.split() == [str(256 << 20), "True", "0.5", "1"], output.stderr
