"""All measurements, one after the other, each in a process of its own: `python -m benchmarks [--tiny] [--save]`.

One that fails is named at the end, and the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import parse

NAMES = ("start", "one_clip", "engines", "profile", "decode", "many_clips", "labels", "train_step", "scaling", "gpu")


def main() -> None:
    parse("python -m benchmarks")  # a mistake is said once, before anything runs
    failed = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
