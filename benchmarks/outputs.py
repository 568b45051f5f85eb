"""What people see of a small model, to compare before and after a change: logits, saved files, JSON lines, evaluations.

python -m benchmarks.outputs

Prints a hash of each. Two commits print the same where nothing has changed. Losses and trained weights are those of
`benchmarks.losses`.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet
import torch
from safetensors.torch import load_file

import crossframe
from crossframe.cli import main
from tests.data.dataset import write_dataset

LABELS = ("-l", "walking", "-l", "running", "-l", "jumping")
EVALUATIONS = {
    "evaluate": [],
    "evaluate, two views of three crops": ["--views", "2", "--crops", "3"],
    "evaluate, bfloat16": ["--precision", "bfloat16"],
}


def digest(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def say(name: str, content: bytes | str) -> None:
    print(f"{name:<40} {digest(content)}", flush=True)


def command(*arguments: object) -> str:
    """What a command prints; one broken clip of the data set is no news."""
    out = StringIO()
    with redirect_stdout(out), redirect_stderr(StringIO()), suppress(SystemExit):
        main([*map(str, arguments)])
    return out.getvalue()


def show(folder: Path) -> None:
    # relative names, or the hashes would have the folder in them
    clips = [path.relative_to(folder) for path in sorted(write_dataset(folder / "clips").rglob("*.mp4"))]
    model = crossframe.load("shapes")
    crossframe.save(model, "saved")
    tensors = load_file("saved/model.safetensors")  # whose header has its entries in any order
    say("saved weights", b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
    for name in ("config.json", "tokenizer.json"):
        say(f"saved {name}", Path("saved", name).read_bytes())
    video = model.prepare([crossframe.read_video(clips[0], 8).pixels])
    with torch.inference_mode():
        say("logits", model(video, model.tokenize(["walking", "running", "jumping"])).numpy().tobytes())
    for precision in ("float32", "bfloat16"):
        lines = command("classify", *clips, *LABELS, "--model", "saved", "--json", "--precision", precision)
        say(f"classify --json, {precision}", lines)
    for name, options in EVALUATIONS.items():
        out = Path(name.replace(" ", "-"))
        command("evaluate", "finetune", "--model", "saved", "--data", "clips", "--out", out, *options)
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        summary["made_with"].pop("data")  # an absolute path
        say(f"{name}: summary", json.dumps(summary))
        say(f"{name}: predictions", json.dumps(pyarrow.parquet.read_table(out / "predictions.parquet").to_pylist()))
    command("evaluate", "shapes", "--model", "saved", "--videos", 160, "--out", "drawn")
    say("evaluate shapes: summary", Path("drawn/summary.json").read_bytes())


if __name__ == "__main__":
    torch.set_num_threads(1)
    with TemporaryDirectory() as place:
        os.chdir(place)
        show(Path(place))
