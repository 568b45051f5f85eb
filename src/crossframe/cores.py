"""How many CPUs this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """The CPUs that this process may use: all, or the share that `taskset` or a job scheduler gave it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
