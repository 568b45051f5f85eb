"""Training and recognition on an NVIDIA GPU, beside the card's own rate of products and transformers' X-CLIP.

    python -m benchmarks.gpu

bfloat16, 8 frames, text frozen and known. Shares of the rate count multiplications and additions of the forward pass,
three times for a training step. Without a GPU a tiny model runs on the processor, to show that all of this works, and
the figures stay open.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.cost import gmacs
from benchmarks.harness import Bar, Options, Result, run
from benchmarks.peers import Theirs, by_rule, config_of
from crossframe.model.xclip import XCLIP

CLIPS = {"B/16": 32, "L/14": 16}
LABELS = 400


def measure(options: Options) -> Result:
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    tiny = options.tiny or not on_gpu
    rate = _matrix_rate(device, 256 if tiny else 8192)
    rows: list[dict[str, object]] = [{"what": "products in bfloat16", "TFLOP/s": rate / 1e12}]
    notes = [_card(device)] if on_gpu else ["no NVIDIA GPU here: the GPU figures are open"]
    bars: list[Bar] = []
    for name, clips in CLIPS.items():
        clips = 2 if tiny else _fitting(clips, device)
        found = _measure_model(name, clips, device, tiny, options.repeats)
        rows.append({"model": name, "clips": clips} | found)
        flops = 2e9 * gmacs(name, 8)
        shares = [3 * flops * found["crossframe clips/s"] / rate, flops * found["inference clips/s"] / rate]
        gain = found["crossframe clips/s"] / found["transformers clips/s"]
        bars += [
            Bar(f"{name} training, share of the matrix rate", None if tiny else shares[0], 0.5),
            Bar(f"{name} training, transformers / crossframe", None if tiny else gain, 2.0),
            Bar(f"{name} inference, share of the matrix rate", None if tiny else shares[1], 0.6),
        ]
    largest = None
    if not tiny:
        try:
            largest = _largest(device)
        except torch.OutOfMemoryError:
            notes.append("the largest step does not fit into this card, and stays open")
    bars.append(Bar("L/14 at 336 px, 16 frames, 8 clips: GB", largest, 80.0, True))
    return Result(bars, rows, notes)


def _card(device: torch.device) -> str:
    """What the figures depend on."""
    card = torch.cuda.get_device_properties(device)
    versions = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{card.name}, {card.total_memory / 1e9:.0f} GB, compute capability {card.major}.{card.minor}, {versions}"


def _fitting(clips: int, device: torch.device) -> int:
    """So many clips on a card of 80 GB, and in proportion fewer on a smaller one."""
    return max(1, min(clips, int(clips * torch.cuda.get_device_properties(device).total_memory / 79e9)))


def _measure_model(name: str, clips: int, device: torch.device, tiny: bool, repeats: int) -> dict[str, float]:
    """Clips a second in training, here and in transformers, and in recognition; megabytes a clip."""
    model = by_rule(config_of(name, 8, tiny))
    theirs = Theirs(model)
    theirs.model.to(device)
    model = model.to(device)
    ours = _forward(model)
    video = torch.randn(clips, 8, 3, *[model.config.vision.image_size] * 2, device=device)
    text = torch.randn(LABELS, model.config.embed_dim, device=device)
    found: dict[str, float] = {}
    for peer, (network, forward) in {
        "crossframe": (model, ours),
        "transformers": (theirs.model, theirs.logits),
    }.items():
        step = _train(network, forward, video, text)
        found[f"{peer} clips/s"] = clips / _seconds(step, device, repeats)
        found[f"{peer} MB a clip"] = _peak(step, device) / clips
    model.eval()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        found["inference clips/s"] = clips / _seconds(lambda: ours(video, text), device, repeats)
    return found


def _forward(model: XCLIP) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda video, text: model.score(model.encode_video(video), text)


def _train(
    model: nn.Module, forward: Callable[[Tensor, Tensor], Tensor], video: Tensor, text: Tensor
) -> Callable[[], None]:
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("text"))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-6, fused=True)
    targets = torch.arange(video.shape[0], device=video.device) % LABELS

    def step() -> None:
        with torch.autocast(video.device.type, torch.bfloat16):
            logits = forward(video, text)
        F.cross_entropy(logits.float(), targets, label_smoothing=0.1).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _largest(device: torch.device) -> float:
    """Gigabytes at most in a step of L/14 at 336 px with 16 frames and 8 clips."""
    model = by_rule(config_of("L/14@336", 16, False)).to(device)
    video = torch.randn(8, 16, 3, 336, 336, device=device)
    text = torch.randn(LABELS, model.config.embed_dim, device=device)
    step = _train(model, _forward(model), video, text)
    step()  # after which the optimizer has its state
    return _peak(step, device) / 1e3


def _seconds(step: Callable[[], object], device: torch.device, repeats: int) -> float:
    found = []
    for number in range(repeats + 2):
        _wait(device)
        started = time.perf_counter()
        step()
        _wait(device)
        if number >= 2:
            found.append(time.perf_counter() - started)
    return median(found)


def _peak(step: Callable[[], object], device: torch.device) -> float:
    """Megabytes at most during a step; 0 without a GPU."""
    if device.type != "cuda":
        step()
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() / 1e6


def _matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second in a large product, what this device reaches at most."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: a @ b, device, 100)  # so many that the card's clock has risen


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    run("gpu", measure)
