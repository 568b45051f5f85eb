"""One clip on a processor, from the path of a ten-second file to the five best of 400 labels: here and in transformers.

    python -m benchmarks.one_clip

B/16, 8 frames, the same weights and the same frames; text features are known beforehand on both sides. Transformers as
people run it: frames by PyAV, its image processor, XCLIPModel. The bound is what the products alone would take at the
rate that oneDNN reaches here, without decoding or anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from torch import Tensor

from benchmarks.cost import gmacs
from benchmarks.harness import Bar, Options, Result, in_turn, run
from benchmarks.peers import (
    Theirs,
    by_rule,
    config_of,
    in_precision,
    kinetics_labels,
    precisions,
    relative_error,
    same_top,
    ten_second_clip,
)
from crossframe.inference import Precision
from crossframe.recognizer import Recognizer
from crossframe.video.sample import sparse

TOLERANCE = 0.03
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def measure(options: Options) -> Result:
    config = config_of("B/16", 4 if options.tiny else 8, options.tiny)
    labels = kinetics_labels()
    model = by_rule(config)
    with torch.inference_mode():
        text = model.encode_text(model.tokenize(labels))
    ours = {name: Recognizer(model, precision=name) for name in PRECISIONS if name in precisions()}
    for recognizer in ours.values():
        recognizer.embed_texts(labels)  # which are known then
    theirs = {name: Theirs(model, dtype) for name, dtype in precisions().items()}

    with TemporaryDirectory() as folder, torch.inference_mode():
        path = ten_second_clip(options.videos, Path(folder), options.tiny)
        ways: dict[str, Callable[[], object]] = {}
        for name, recognizer in ours.items():
            ways[f"crossframe {name}"] = lambda r=recognizer: r.classify(path, labels).top(5)
        for name, peer in theirs.items():
            ways[f"transformers {name}"] = lambda p=peer: _their_top(p, path, config.num_frames, text, labels)
        seconds = in_turn(ways, options.repeats)
        errors = _errors(ours, theirs, path, text)

    bounds = {name: 2 * gmacs("B/16", 8) / rate for name, rate in _rates(options.tiny).items()}
    rows = [{"way": name, "seconds": s.wall, "processor seconds": s.cpu} for name, s in seconds.items()]
    rows += [{"bound": name, "seconds": value} for name, value in bounds.items()]
    rows += [{"error": name, "of the spread": value} for name, (value, _) in errors.items()]
    fast = min(seconds[f"crossframe {name}"].wall for name in ours)
    bars = [
        Bar("transformers float32 / crossframe", seconds["transformers float32"].wall / fast, 3.3),
        Bar(
            "transformers float32 / crossframe float32",
            seconds["transformers float32"].wall / seconds["crossframe float32"].wall,
            1.5,
        ),
    ]
    if "bfloat16" in theirs:
        bars.insert(1, Bar("transformers bfloat16 / crossframe", seconds["transformers bfloat16"].wall / fast, 1.3))
    for name, (error, agrees) in errors.items():
        bars.append(Bar(f"{name}: error over the spread", error, TOLERANCE, at_most=True))
        bars.append(Bar(f"{name}: same best label where the margin is clear", float(agrees), 1.0))
    return Result(bars, rows)


def _errors(
    ours: dict[str, Recognizer], theirs: dict[str, Theirs], path: Path, text: Tensor
) -> dict[str, tuple[float, bool]]:
    """Against transformers in float32, on the same pixels: the error, and whether the best label is the same."""
    from crossframe import read_video

    recognizer = ours["float32"]
    video = recognizer.model.prepare(read_video(path, recognizer.num_frames).pixels)
    video = torch.cat([video, video.flip(1), video.flip(-1), video * 0.5])  # four clips instead of one
    reference = theirs["float32"].logits(video, text)
    fast = {name: in_precision(recognizer.model, name) for name in ours}
    found = {f"crossframe {name}": m.score(m.encode_video(video), text) for name, m in fast.items()}
    if "bfloat16" in theirs:
        found["transformers bfloat16"] = theirs["bfloat16"].logits(video, text).float()
    return {
        name: (relative_error(logits, reference), same_top(logits, reference, TOLERANCE))
        for name, logits in found.items()
    }


def _their_top(peer: Theirs, path: Path, num_frames: int, text: Tensor, labels: list[str]) -> list[str]:
    from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

    size = peer.model.config.vision_config.image_size
    processor = VideoMAEImageProcessorPil(
        size={"shortest_edge": 256 * size // 224},
        crop_size={"height": size, "width": size},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    pixels = processor(list(by_pyav(path, num_frames)), return_tensors="pt")["pixel_values"]
    probabilities = peer.logits(pixels, text)[0].float().softmax(dim=0)
    return [labels[i] for i in probabilities.topk(5).indices.tolist()]


def by_pyav(path: Path, num_frames: int) -> np.ndarray:
    """Evenly spread frames (T, H, W, 3) as transformers' documentation reads them: all frames up to the last wanted."""
    with av.open(str(path)) as container:
        indices = sparse(container.streams.video[0].frames, num_frames)
        frames = []
        for i, frame in enumerate(container.decode(video=0)):
            if i > indices[-1]:
                break
            if i in indices:
                frames.append(frame)
    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def _rates(tiny: bool) -> dict[str, float]:
    """Billions of operations a second that oneDNN reaches on the largest product of the image encoder."""
    rows, inner, outer = (64, 64, 64) if tiny else (8 * 197, 768, 3072)
    found: dict[str, float] = {}
    for name, dtype in precisions().items():
        x, weight = torch.randn(rows, inner).to(dtype), torch.randn(outer, inner).to(dtype)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        call = {"": lambda x=x, w=packed: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")}
        seconds = in_turn(call, 3 if tiny else 20, warm_up=3)[""].wall
        found[name] = 2 * rows * inner * outer / seconds / 1e9
    return found


if __name__ == "__main__":
    run("one_clip", measure)
