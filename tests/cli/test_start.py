"""What the commands import: nothing before it is needed, nothing that they could do without."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import crossframe.__main__
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


MISTAKES = """
import sys
from crossframe.cli import main

for words in sys.argv[1:]:
    try:
        main(words.split())
    except SystemExit as ended:
        assert ended.code, words
    assert "torch" not in sys.modules, words
"""


def test_a_mistake_is_said_before_torch_is_imported(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=moving(4))
    (tmp_path / "done/last").mkdir(parents=True)
    no_weights = "is no file, no folder and no model of the hub"
    mistakes = {
        "train finetun --out run": "did you mean 'finetune'",
        "train finetune --out run --set train.epoch=2": "'train.epoch' is unknown; did you mean 'epochs'?",
        "train finetune --out run --set train.rates.base=fast": "train.rates.base",
        "train finetune --out run --epochs 0": "--epochs",
        "train finetune --out run --data gone.csv": "gone.csv does not exist; give a .csv",
        "train finetune --data .": "give a folder for the run",
        "train finetune --out run --data . --init runs/gone/last": f"'runs/gone/last' {no_weights}",
        "train": "name one of crossframe recipes, or go on with a run: crossframe train --resume --out RUN",
        "train finetune --out done --data .": "done holds a run already; give another folder, or --resume",
        "classify clip.mp4 --model gone/last/x": f"'gone/last/x' {no_weights}",
        "train --out run": "name one of crossframe recipes",
        "train --out run --resume": "run holds no run to go on with; name the recipe of a new one",
        "train k400 --dry-run --device-like b100x8": "device 'b100x8' is unknown; known are t4",
        "train k400 --dry-run --device-like t4 --set train.precision=bfloat16": "a t4 has no bfloat16 in hardware",
        "train k400 --dry-run --init runs/gone/last": f"'runs/gone/last' {no_weights}",
        "classify clip.mp4 -l yoga --out found.txt": "found.txt is no name for records; let it end in .jsonl, .csv or",
        "compare gone run": "gone is no folder; give one that 'crossframe evaluate --out' wrote",
        "report gone": "gone is no folder; give one that 'crossframe evaluate --out' wrote",
        "classify clip.mp4 -l yoga --model run/best.pth": f"'run/best.pth' {no_weights}",
        "classify clip.mp4 -l yoga --model gone.pt": f"'gone.pt' {no_weights}",
        "search gone --like gone.mp4": "gone.mp4: does not exist",
        "search gone circles": "gone is no index; make one with crossframe index",
        "suggest gone -l a -l b --out next.mp4": "next.mp4 is neither a list nor tasks",
        "suggest gone -l a --out next.json": "'a' alone is no choice; give another label",
        "suggest gone -l a --labeled gone.csv --out next.json": "gone.csv does not exist",
        "suggest gone -l a -l b --out next.json": "gone is no index",
        "annotate gone.mp4 -l a --out archive": "gone.mp4: does not exist",
        "index gone.mp4 --out new": "gone.mp4: does not exist",
        "index clip.mp4 --out clip.mp4": "clip.mp4 is there already",
        "timeline clip.mp4 -l a --out clip.mp4": "clip.mp4 is read, and would be written over",
        "timeline clip.mp4 -l a --out events.xls": "events.xls: has none of the endings",
        "embed clip.mp4 --out vectors.npy --model shape": f"'shape' {no_weights}",
    }
    command = [sys.executable, "-c", MISTAKES, *mistakes]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for line, said in zip(result.stderr.splitlines(), mistakes.values(), strict=True):
        assert said in line


INTERRUPTED_WHILE_IT_IMPORTS = """
import os, runpy, signal, sys

class Finder:
    def find_spec(name, *_):
        if name != slow:
            return
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            if name == "typer":  # while torch, and only torch, swallows it
                raise

sys.meta_path.insert(0, Finder)
slow, sys.argv = sys.argv[1], ["crossframe", "doctor"]
runpy.run_module("crossframe", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["typer", "torch"])
def test_ctrl_c_is_one_line_while_modules_are_imported_too(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_WHILE_IT_IMPORTS, module]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "crossframe: interrupted\n")


def test_python_dash_m_is_the_command() -> None:
    result = subprocess.run([sys.executable, "-m", "crossframe", "--version"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, f"crossframe {crossframe.__version__}\n")


def test_the_installed_command_is_the_same() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"crossframe": f"{crossframe.__main__.__name__}:{crossframe.__main__.main.__name__}"}
