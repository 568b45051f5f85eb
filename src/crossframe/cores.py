"""The processors: how many this process may use, and how to get on with others there."""

from __future__ import annotations

import os


def cores() -> int:
    """The CPUs that this process may use: all, or the share that `taskset` or a job scheduler gave it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores() -> None:
    """Let torch's threads sleep soon while they wait for each other. To be called before torch is imported.

    GNU OpenMP has them spin for milliseconds. Beside other work, that takes the processor that the awaited thread
    needs: small products become many times slower. Who has set OpenMP's own variables is left alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # some 20 microseconds, about what waking up takes
