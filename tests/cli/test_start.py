"""What the commands import: nothing before it is needed, nothing that they could do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.video.clips import moving, write_clip

PROGRAM = """
import sys
from crossframe.cli import main

def run(*arguments):
    try:
        main(list(arguments))
    except SystemExit as ended:
        assert not ended.code, arguments

run("--help")
run("classify", "--help")
run("models")
assert "torch" not in sys.modules
run("classify", sys.argv[1], "-l", "yoga", "--model", sys.argv[2])
print("unwanted:", *sys.modules.keys() & set(sys.argv[3:]))
"""
UNWANTED = (
    *("transformers", "torchvision", "timm", "open_clip", "torchcodec", "torch._dynamo"),
    *("lightning_fabric", "matplotlib", "pandas", "PIL", "pyarrow", "scipy", "sklearn", "tensorboard", "torchmetrics"),
)


def test_commands_import_only_what_they_need(tiny_folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=moving(4))
    command = [sys.executable, "-c", PROGRAM, str(clip), str(tiny_folder), *UNWANTED]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].split() == ["unwanted:"]
