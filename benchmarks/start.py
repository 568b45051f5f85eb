"""How long people wait before anything happens, relative to `import torch` in the same run.

python -m benchmarks.start
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Bar, Options, Result, in_turn, run
from tests.video.clips import moving, write_clip

CLI = [sys.executable, "-c", "from crossframe.cli import main; main()"]


def measure(options: Options) -> Result:
    with TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", frames=moving(30, 112, 112))
        commands = {
            "import torch": [sys.executable, "-c", "import torch"],
            "crossframe --help": [*CLI, "--help"],
            "import crossframe": [sys.executable, "-c", "import crossframe"],
            "crossframe classify": [*CLI, "classify", str(clip), "-l", "red circle", "-l", "blue", "--model", "shapes"],
        }
        ways = {
            name: lambda command=command: subprocess.run(command, check=True, capture_output=True)
            for name, command in commands.items()
        }
        seconds = in_turn(ways, options.repeats, warm_up=0 if options.tiny else 1)
    torch = seconds["import torch"].wall
    bars = [
        Bar(f"{name} / import torch", seconds[name].wall / torch, bar, at_most=True)
        for name, bar in (("crossframe --help", 0.25), ("import crossframe", 0.08), ("crossframe classify", 2.0))
    ]
    return Result(bars, [{"command": name, "seconds": value.wall} for name, value in seconds.items()])


if __name__ == "__main__":
    run("start", measure)
