"""Every variant, at tiny widths, in every precision against float64; orders, threads and many calls."""

from __future__ import annotations

import gc
import os
import pickle
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch
from torch import Tensor

import crossframe
from benchmarks.torture.report import Options, Row
from crossframe.inference import Inference
from crossframe.model.config import VARIANTS, ModelConfig, variant
from crossframe.model.preprocess import Preprocess
from crossframe.model.xclip import XCLIP
from crossframe.recognizer import Recognizer
from crossframe.text.tokenizer import Tokenizer
from tests.video.clips import moving, write_clip

LABELS = ("arm wrestling", "cleaning a pool", "yoga", "playing the trumpet", "shaking hands")
# How far logits may be from float64's, as a share of their spread over labels and clips.
BOUNDS = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}
ROW_BOUND = 1e-5  # of a batch against its rows, in float32


def tiny(name: str) -> ModelConfig:
    """A variant with its number of patches, frames and parts, an eighth as wide and two blocks deep."""
    config = variant(name, 8)
    vision = replace(config.vision, width=config.vision.width // 8, heads=config.vision.heads // 4, layers=2)
    vision = replace(vision, mlp_width=4 * vision.width)
    text = config.text and replace(config.text, width=64, heads=2, layers=2, mlp_width=256)
    return replace(config, vision=vision, text=text)


def model_of(config: ModelConfig, seed: int) -> XCLIP:
    torch.manual_seed(seed)
    size = config.vision.image_size
    model = XCLIP(config, tokenizer=Tokenizer.clip(), preprocess=Preprocess.xclip(size)).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float(parameter.mean()), std=0.1)
    torch.nn.init.constant_(model.logit_scale, 3.0)
    return model.requires_grad_(False)


def clips() -> dict[str, Tensor]:
    """uint8 (8, 3, 40, 56) each."""
    shape = (8, 3, 40, 56)
    return {
        "black": torch.zeros(shape, dtype=torch.uint8),
        "white": torch.full(shape, 255, dtype=torch.uint8),
        "constant": torch.full(shape, 77, dtype=torch.uint8),
        "noise": torch.randint(0, 256, shape, dtype=torch.uint8),
        "moving": torch.from_numpy(moving(8, 56, 40)).permute(0, 3, 1, 2),
    }


@torch.inference_mode()
def precisions(options: Options) -> list[Row]:
    """Logits of float32, bfloat16 and float16 encoders, plain and packed, against float64."""
    rows = [Row(f"numerics: {name}, at most {bound:g} of the spread") for name, bound in BOUNDS.items()]
    largest = dict.fromkeys(BOUNDS, 0.0)
    for name in VARIANTS[: options.few(4, 1)]:
        model = model_of(tiny(name), options.seed)
        videos = clips()
        exact = model_of(tiny(name), options.seed).double()
        with torch.no_grad():
            text = exact.encode_text(exact.tokenize(LABELS))
            inputs = model.prepare(list(videos.values())).double()
            wanted = exact.score(exact.encode_video(inputs), text)  # (5, K)
        spread = float(wanted.std())
        for row, precision in zip(rows, BOUNDS, strict=True):
            for fast in (False, True):
                inference = Inference(model, precision, fast=fast)
                found = inference.score(inference.encode(list(videos.values())), inference.texts.of_labels(LABELS))
                for clip, off in zip(videos, (found - wanted).abs().amax(dim=1), strict=True):
                    share = float(off) / spread
                    largest[precision] = max(largest[precision], share)
                    way = "packed" if inference.packed else "plain"
                    row.check(share <= BOUNDS[precision], f"{name}, {way}, {clip}: {share:.2g} of the spread")
    for row, share in zip(rows, largest.values(), strict=True):
        row.note = f"largest {share:.1e}"
    return rows


@torch.inference_mode()
def orders(options: Options) -> list[Row]:
    """A batch gives what its rows give, and neither the order of videos nor that of labels matters."""
    row = Row(f"batches, orders of videos and labels, at most {ROW_BOUND:g}")
    largest = 0.0
    for name in VARIANTS[: options.few(4, 1)]:
        model, videos = model_of(tiny(name), options.seed), list(clips().values())
        for fast in (False, True):
            inference = Inference(model, "float32", fast=fast)
            text = inference.texts.of_labels(LABELS)
            assert text is not None
            together = inference.score(inference.encode(videos), text)
            spread = float(together.std())
            alone = torch.cat([inference.score(inference.encode([video]), text) for video in videos])
            back = inference.score(inference.encode(videos[::-1]), text).flip(0)
            other = inference.score(inference.encode(videos), text.flip(0)).flip(1)
            for what, found in (("rows", alone), ("videos", back), ("labels", other)):
                share = float((found - together).abs().max()) / spread
                largest = max(largest, share)
                row.check(share <= ROW_BOUND, f"{name}, {what}: {share:.2g} of the spread")
    row.note = f"largest {largest:.1e}"
    return [row]


def threads(options: Options) -> list[Row]:
    """One recognizer in 16 threads with more lists of labels than it keeps, in forked and in spawned processes."""
    path = write_clip(options.folder / "a.mp4", frames=moving(12, 48, 40))
    recognizer = Recognizer.from_pretrained("shapes", precision="float32", workers=0)
    lists = [[f"a {color} {shape}" for shape in ("circle", "square")] for color in _words(24)]
    wanted = [recognizer.classify(path, labels).scores.tolist() for labels in lists]
    fresh = Recognizer.from_pretrained("shapes", precision="float32", workers=0)

    def ask(number: int) -> list[float]:
        return fresh.classify(path, lists[number % len(lists)]).scores.tolist()

    row = Row("16 threads, more lists of labels than are kept")
    with ThreadPoolExecutor(16) as pool:
        calls = range(options.few(480, 48))
        for number, scores in zip(calls, pool.map(ask, calls), strict=True):
            row.check(scores == wanted[number % len(lists)], f"call {number} gives other scores")
    others = Row("forked and spawned processes")
    for way in ("fork", "spawn"):
        if way == "fork":  # without threads in the process that forks
            code = f"from benchmarks.torture.numerics import forked; forked({str(path)!r}, {lists[0]!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
            others.check(done.returncode == 0, f"fork: {done.stderr[-200:]}")
            continue
        with get_context(way).Pool(2) as pool:
            for scores in pool.starmap(_classify, [(pickle.dumps(recognizer), str(path), lists[0])] * 4):
                others.check(max(abs(a - b) for a, b in zip(scores, wanted[0], strict=True)) < 1e-5, f"{way}: {scores}")
    return [row, others]


def _classify(pickled: bytes, path: str, labels: list[str]) -> list[float]:
    torch.set_num_threads(1)
    return pickle.loads(pickled).classify(path, labels).scores.tolist()


def forked(path: str, labels: list[str]) -> None:
    """Classify in two forked children of a process that has loaded the model and computes with one thread."""
    torch.set_num_threads(1)
    recognizer = Recognizer(crossframe.load("shapes"), workers=0)
    wanted = recognizer.classify(path, labels).scores.tolist()
    for _ in range(2):
        if (child := os.fork()) == 0:
            os._exit(0 if recognizer.classify(path, labels).scores.tolist() == wanted else 1)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a forked process gave other scores")


def leaks(options: Options) -> list[Row]:
    """Memory and open files after many calls."""
    row = Row("many calls: megabytes and open files gained")
    path = write_clip(options.folder / "a.mp4", frames=moving(12, 48, 40))
    recognizer = Recognizer.from_pretrained("shapes", workers=0)
    count = options.few(10_000, 300)
    lists = [[f"a {color} circle", "a square"] for color in _words(24)]
    for number in range(count // 5):
        recognizer.classify(path, lists[number % 24])
    gc.collect()
    memory, files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(os.listdir("/proc/self/fd"))
    for number in range(count):
        recognizer.classify(path, lists[number % 24])
    gc.collect()
    gained = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    opened = len(os.listdir("/proc/self/fd")) - files
    row.tried = count
    row.note = f"{gained:.1f} MB, {opened} files"
    if gained > 20 or opened > 0:
        row.wrong.append(row.note)
    return [row]


def _words(count: int) -> list[str]:
    return [f"color{number}" for number in range(count)]
