"""One pass of the image encoder, B/16 with 8 frames, in everything that could run it on a processor.

    pip install openvino
    python -m benchmarks.engines

The same weights and pixels in PyTorch's layers, in the packed engine, compiled with frozen weights, compiled ahead of
time, in OpenVINO, and in 8-bit products with one scale for each; beside transformers, whose logits in float32 are the
reference. Ratios are of processor seconds, so that other work on the machine changes them little. What each engine
needs before its first pass is measured too, and what a compiler's cache saves the next process. Errors of the 8-bit
products are those of the bundled model as well, whose weights were trained.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

import crossframe
from benchmarks.harness import Bar, Options, Result, in_turn, run
from benchmarks.peers import Theirs, by_rule, config_of, kinetics_labels, precisions, relative_error
from crossframe.engine import PackedLinear, pack
from crossframe.evaluate.shapes import frames_of
from crossframe.model.xclip import XCLIP, VideoFeatures
from crossframe.shapes.caption import all_sentences
from crossframe.shapes.splits import Split, draw

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]  # (B, T, 3, S, S) -> (B, T, E), (B, T, N, D)
CLIPS = 64  # of the bundled model


@torch.inference_mode()
def measure(options: Options) -> Result:
    config = config_of("B/16", 4 if options.tiny else 8, options.tiny)
    model = by_rule(config)
    random = torch.Generator().manual_seed(0)
    video = torch.randn(1, config.num_frames, 3, *[config.vision.image_size] * 2, generator=random)
    text = torch.randn(len(kinetics_labels()), config.embed_dim, generator=random)
    engines, rows, notes = _engines(model, video, options.tiny)
    logits = {name: _score(model, encode(video), text) for name, encode in engines.items()}
    seconds = in_turn({name: lambda e=encode: e(video) for name, encode in engines.items()}, options.repeats)
    reference = seconds["transformers float32"]
    for name, spent in seconds.items():
        row = {"engine": name, "seconds": spent.wall, "processor seconds": spent.cpu}
        row |= {"transformers float32 / this": reference.cpu / spent.cpu}
        rows.append(row | {"error over the spread": relative_error(logits[name], logits["transformers float32"])})
    rows += [*_products(options.tiny), *_bundled(4 if options.tiny else CLIPS)]
    bars = [
        Bar(
            f"crossframe {name}: error over the spread",
            relative_error(logits[f"crossframe {name}"], expected),
            0.03,
            True,
        )
        for name, expected in dict.fromkeys(precisions(), logits["transformers float32"]).items()
    ]
    return Result(bars, rows, notes)


def _engines(model: XCLIP, video: Tensor, tiny: bool) -> tuple[dict[str, Encode], list[dict[str, Any]], list[str]]:
    """All engines that work here, what the others say, and what each took to prepare."""
    found: dict[str, Encode] = {}
    rows, notes = [], []
    with TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        for name, dtype in precisions().items():
            ways: dict[str, Callable[[XCLIP, Tensor, torch.dtype], Encode]] = {
                "transformers": _transformers,
                "PyTorch's layers": _plain,
                "crossframe": lambda model, _video, dtype: _with(pack(model, dtype).vision, dtype),
            }
            if dtype == torch.bfloat16:
                ways["crossframe, 8-bit products,"] = lambda model, _video, dtype: _with(
                    _eight_bit(model).vision, dtype
                )
            if not tiny:  # a compiler takes minutes, however small the model is
                ways |= {"torch.compile": _compiled, "ahead of time": _ahead_of_time}
            if not tiny and find_spec("openvino"):  # it stays in the process, and later children of that can crash it
                ways["OpenVINO"] = _openvino
            for way, prepare in ways.items():
                started = time.perf_counter()
                try:
                    encode = prepare(model, video, dtype)
                    encode(video)
                except Exception as error:  # a peer may fail in any way it likes
                    notes.append(f"{way} {name} does not work here: {str(error).strip().splitlines()[0][:150]}")
                    continue
                rows.append({"prepared": f"{way} {name}", "seconds": time.perf_counter() - started})
                print(f"prepared {way} {name}", flush=True)
                found[f"{way} {name}"] = encode
            if f"torch.compile {name}" in found:
                again = f"torch.compile {name}, in a second process"
                rows.append({"prepared": again, "seconds": _in_a_process(name)})
    return found, rows, notes + ([] if find_spec("openvino") else ["openvino is not installed"])


def _with(encoder: nn.Module, dtype: torch.dtype) -> Encode:
    return lambda video: encoder(video.to(dtype))


def _transformers(model: XCLIP, _video: Tensor, dtype: torch.dtype) -> Encode:
    theirs = Theirs(model, dtype).model

    def encode(video: Tensor) -> tuple[Tensor, Tensor]:
        seen = theirs.vision_model(pixel_values=video.flatten(0, 1).to(dtype))
        frames = theirs.visual_projection(seen[1])
        return frames.unflatten(0, video.shape[:2]), seen[0][:, 1:].unflatten(0, video.shape[:2])

    return encode


def _plain(model: XCLIP, _video: Tensor, dtype: torch.dtype) -> Encode:
    return _with(deepcopy(model.vision).to(dtype), dtype)


def _compiled(model: XCLIP, video: Tensor, dtype: torch.dtype) -> Encode:
    from torch._inductor import config

    compiled = torch.compile(deepcopy(model.vision).to(dtype))

    def encode(video: Tensor) -> tuple[Tensor, Tensor]:
        with config.patch(freezing=True), torch.no_grad():
            return compiled(video.to(dtype))

    encode(video)
    return encode


def _in_a_process(precision: str) -> float:
    """Seconds until a new process has compiled and run what this one has compiled before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_compile_again, precision, torch.get_num_threads()).result()


def _compile_again(precision: str, threads: int) -> float:
    torch.set_num_threads(threads)
    model = by_rule(config_of("B/16", 8, False))
    video = torch.randn(1, 8, 3, *[model.config.vision.image_size] * 2)
    started = time.perf_counter()
    with torch.inference_mode():
        _compiled(model, video, precisions()[precision])
    return time.perf_counter() - started


def _ahead_of_time(model: XCLIP, video: Tensor, dtype: torch.dtype) -> Encode:
    with torch.inference_mode(False), torch.no_grad(), TemporaryDirectory() as folder:
        encoder = deepcopy(model.vision).to(dtype).requires_grad_(False)
        exported = torch.export.export(encoder, (video.clone().to(dtype),))
        package = torch._inductor.aoti_compile_and_package(exported, package_path=str(Path(folder) / "encoder.pt2"))
        return _with(torch._inductor.aoti_load_package(package), dtype)


def _openvino(model: XCLIP, video: Tensor, dtype: torch.dtype) -> Encode:
    import openvino

    precision = "bf16" if dtype == torch.bfloat16 else "f32"
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    converted = openvino.convert_model(model.vision, example_input=video.clone())
    compiled = openvino.Core().compile_model(converted, "CPU", options | {"PERFORMANCE_HINT": "LATENCY"})

    def encode(video: Tensor) -> tuple[Tensor, Tensor]:
        found = compiled(video.numpy())
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])

    return encode


class _EightBitLinear(nn.Module):
    """A packed product with weights of 8 bits, a scale a channel, and inputs of 8 bits, one scale for all of them."""

    def __init__(self, packed: PackedLinear) -> None:
        super().__init__()
        weight = packed.weight.to_dense().float()  # (D', D)
        self.scale = weight.abs().amax(dim=1) / 127
        self.weight = torch.ops.onednn.qlinear_prepack((weight / self.scale[:, None]).round().to(torch.int8), None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = None if packed.bias is None else packed.bias.float()
        self.fused = packed.fused
        self.middle = torch.tensor(128)  # oneDNN is fast for unsigned inputs alone

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        low, high = torch.aminmax(x)
        step = torch.maximum(-low, high).float() / 127
        levels = x.float().mul_(1 / step).add_(128.5).to(torch.uint8)
        activation, algorithm = self.fused
        weight = (self.weight, self.scale, self.zeros, self.bias)
        product = torch.ops.onednn.qlinear_pointwise.tensor(
            levels, step, self.middle, *weight, 1.0, 0, torch.bfloat16, activation, [], algorithm
        )
        return product if residual is None else product.add_(residual)


def _eight_bit(model: XCLIP) -> XCLIP:
    """The packed model with 8-bit products in the image encoder."""
    packed = pack(model, torch.bfloat16)
    for part in list(packed.vision.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, PackedLinear):
                setattr(part, name, _EightBitLinear(layer))
    return packed


def _products(tiny: bool) -> list[dict[str, Any]]:
    """Billions of operations a second in the largest product of the encoder, in each precision."""
    rows, inner, outer = (64, 64, 64) if tiny else (8 * 197, 768, 3072)
    linear, x = nn.Linear(inner, outer), torch.randn(rows, inner)
    ways: dict[str, Callable[[], object]] = {"float32, PyTorch's": lambda: linear(x)}
    for name, dtype in precisions().items():
        packed, rounded = PackedLinear(linear.weight, linear.bias, dtype), x.to(dtype)
        ways[name] = lambda p=packed, x=rounded: p(x)
    if "bfloat16" in precisions():  # which it gives
        eight = _EightBitLinear(packed)
        ways["8 bits, with the rounding of inputs"] = lambda: eight(rounded)
    seconds = in_turn(ways, 3 if tiny else 20, warm_up=3)
    rates = {name: 2 * rows * inner * outer / spent.cpu / 1e9 for name, spent in seconds.items()}
    return [{"product": name, "billions of operations a processor second": rate} for name, rate in rates.items()]


def _bundled(clips: int) -> list[dict[str, Any]]:
    """What bfloat16 and 8 bits change in the logits of the bundled model, for drawn clips and their own sentences."""
    model = crossframe.load("shapes", device="cpu").float()
    scenes = [draw(Split.TEST, 2022, index) for index in range(clips)]
    video = model.prepare([frames_of(scene, model.config.num_frames) for scene in scenes])
    texts = [model.encode_text(model.tokenize(list(all_sentences(scene).values()))) for scene in scenes]
    models = {"float32": model}
    if "bfloat16" in precisions():
        models |= {"bfloat16": pack(model, torch.bfloat16), "8-bit products": _eight_bit(model)}
    found = {}
    for name, one in models.items():
        features = one.encode_video(video)
        found[name] = [one.score(features.clip(i), text)[0] for i, text in enumerate(texts)]
    exact, rows = found.pop("float32"), []
    for name, logits in found.items():
        errors = torch.tensor([relative_error(one, other) for one, other in zip(logits, exact, strict=True)])
        same = [bool(one.argmax() == other.argmax()) for one, other in zip(logits, exact, strict=True)]
        row = {"bundled model": name, "clips": clips, "median error": float(errors.median())}
        rows.append(row | {"largest error": float(errors.max()), "same best label": sum(same) / clips})
    return rows


def _score(model: XCLIP, seen: tuple[Tensor, Tensor], text: Tensor) -> Tensor:
    """Logits (B, K) of what an engine saw; the rest of the model is the same for all."""
    frames, patches = (part.float() for part in seen)
    assert model.mit is not None
    assert model.prompts is not None
    return model.score(VideoFeatures(model.mit(frames), model.prompts.summarize(patches), frames), text)


if __name__ == "__main__":
    run("engines", measure)
