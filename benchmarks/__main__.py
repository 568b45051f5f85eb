"""All measurements, one after the other, each in a process of its own: `python -m benchmarks [--tiny] [--save]`."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("start", "one_clip", "decode", "many_clips", "labels", "train_step", "scaling", "gpu")


def main() -> None:
    failed = []
    for name in NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
