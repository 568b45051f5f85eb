"""The losses and weights of small runs of many recipes, to be compared before and after a change of the code.

    python -m benchmarks.losses [--only NAME ...]

Every run has a fixed seed and one thread, so that a change that only moves code changes no bit on the same machine.
The last line is JSON: for each run its losses, and a hash of the weights that it ends with.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from safetensors.torch import load_file

from crossframe.recipes.load import load_recipe
from crossframe.train import run as run_module
from crossframe.train.run import train

CLIPS = (
    *("train.epochs=2", "train.warmup_epochs=0.5", "train.batch_size=2", "train.rates.base=1e-3"),
    *("model.frames=2", "data.hold_out=0"),
)
NEAR = "train.average=epochs", "train.interpolate={}", "train.epochs=3"
DRAWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "stage 1": ("shapes-pretrain", ()),
    "order": ("shapes-order", ()),
    "messages": ("shapes-messages", ()),
    "shapes": ("shapes", ()),
    "study": ("study", ("data.batches_per_epoch=6",)),
    "accumulated": ("shapes", ("train.accumulate=2", "train.average=0.9", "model.drop_path=0.2", "train.clip_norm=1")),
    "computed again": ("shapes", ("train.checkpoint_blocks=true", "train.learn=[vision,text]")),
    "near the start": ("study", (*NEAR, "data.batches_per_epoch=6")),
    "distilled": ("study", ("train.distill={}", "data.batches_per_epoch=6")),
    "new parts alone": ("study", ("train.learn=[]", "data.batches_per_epoch=6", "train.rates.muon=null")),
}
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "finetune": ("finetune", CLIPS),
    "augmented": ("finetune", (*CLIPS, "train.augment={}", "train.batch_size=4")),
    "mixed": ("finetune", (*CLIPS, "train.augment={}", "train.mix={}", "train.accumulate=2")),
    "templates": ("finetune", (*CLIPS, "data.template=ensemble", "data.sampling=dense")),
    "linear head": ("finetune", (*CLIPS, "model.linear_head=true")),
    "learned vectors": ("finetune", (*CLIPS, "model.learned_vectors=4", "train.learn=[vision]")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="runs by name, by default all")
    chosen = parser.parse_args().only
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, losses, digest in runs(Path(folder)):
            if not chosen or name in chosen:
                print(
                    f"{name:<16} {losses[0]:.6f} .. {losses[-1]:.6f} in {len(losses)} steps, {digest[:16]}", flush=True
                )
                found[name] = {"losses": losses, "weights": digest}
    print(json.dumps(found))


def runs(folder: Path) -> Iterator[tuple[str, list[float], str]]:
    """The name, the losses and the hash of the weights of each run, those on drawn clips first."""
    start = folder / "stage 1"
    for name, (recipe, changes) in DRAWN.items():
        yield name, *trained(recipe, changes, folder / name, None if name == "stage 1" else start / "last", None)
    clips = write_clips(folder / "clips")
    for name, (recipe, changes) in FILES.items():
        yield name, *trained(recipe, changes, folder / name, start / "last", clips)


def trained(
    recipe: str, changes: tuple[str, ...], out: Path, init: Path | None, data: Path | None
) -> tuple[list[float], str]:
    """Train the small variant of a recipe; the loss of each step, and a hash of the weights."""
    run_module.LOG_EVERY = 1
    train(load_recipe(recipe, (*changes, "train.threads=1", "train.workers=0"), tiny=True), out, init=init, data=data)
    (log,) = (out / "logs" / "csv").glob("*/metrics.csv")
    with log.open(encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")]
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(out / "last" / "model.safetensors").items()):  # a file's order is not fixed
        digest.update(name.encode() + tensor.numpy().tobytes())
    return losses, digest.hexdigest()


def write_clips(folder: Path) -> Path:
    """Three classes of three clips: a bright square that moves, in a color of its class."""
    for color, name in enumerate(("clapping", "jumping", "waving")):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            with av.open(str(folder / name / f"{number}.mp4"), "w") as container:
                stream = container.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt = 64 if number % 2 else 48, 48, "yuv420p"
                for time in range(20):
                    pixels = np.full((48, stream.width, 3), 40 * number, dtype=np.uint8)
                    pixels[10 + time : 20 + time, 4 + time : 14 + time, color] = 250
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                container.mux(stream.encode())
    return folder


if __name__ == "__main__":
    main()
