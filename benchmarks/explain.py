"""Do explanations tell the truth? Deletion and pointing on Shapes, where it is known where the things are.

    python -m benchmarks.explain --save     # then python -m benchmarks.tables

The bundled model on three sets of clips, each with `PER_ACTION` of every action, drawn, written as H.264 and read back;
what is explained is the true sentence among those of all actions of the same object. Deviations are over the sets.

- deletion: patches of all frames, most relevant first, are painted in the mean color of their frame; the area under the
  true sentence's score, over the share of patches that are gone. Less is better.
- pointing: the most relevant patch, of the clip or of each frame in which it can be seen, touches the named thing.
- mass: the share of relevance in patches that touch it.
- frames: the same area for whole frames, each replaced by the nearest that is left.

Beside our relevance, which is of the label's logit, stand the same for its log-odds among the other labels, attention
rollout through the same tokens and messages (Abnar and Zuidema 2020), gradient times input, and chance. The logit was
chosen on the sets of the seeds 0 to 2; what is measured are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Bar, Options, Result, run
from crossframe import XCLIP, Prediction, load
from crossframe.answers import Question, Scoring
from crossframe.explain.explain import explain
from crossframe.explain.relevance import Pass, carried, look
from crossframe.inference import Inference, TextFeatures, evaluating
from crossframe.shapes.caption import all_sentences, sentence
from crossframe.shapes.render import silhouettes, sparse_times
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw, split_actions
from crossframe.shapes.write import write_clip
from crossframe.text import LabelSet
from crossframe.video.decode import Frames, read_video

SETS = (3, 4, 5)
PER_ACTION = 3
ACTIONS = split_actions(Split.TEST)
GONE = tuple(
    map(Fraction, ["0", "1/24", "1/12", "1/8", "1/6", "1/4", "1/3", "1/2", "2/3", "5/6", "1"])
)  # shares of the patches
OURS, ODDS, ROLLOUT, GRADIENT, CHANCE = (
    "relevance",
    "relevance of the log-odds",
    "rollout",
    "gradient x input",
    "chance",
)
Found = dict[str, dict[str, float]]  # of each method, its figures


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A clip, float (1, T, 3, S, S), its sentences (K, E) with the place of the true one, and bool (T, N): which
    patches touch what it names."""

    video: Tensor
    scoring: Scoring
    text: Tensor
    place: int
    touched: Tensor


def measure(options: Options) -> Result:
    model = load("shapes", device="cpu")
    sets = SETS[:2] if options.tiny else SETS
    each = 2 if options.tiny else len(ACTIONS) * PER_ACTION
    found: list[tuple[Found, Found]] = []
    for seed in sets:
        with evaluating(model):
            clips = [_one(model, draw(Split.TEST, seed, i), seed + i) for i in range(each)]
        found.append((_mean([places for places, _ in clips]), _mean([frames for _, frames in clips])))
    places, frames = (_over_sets([part[which] for part in found]) for which in (0, 1))
    area = {name: row["area"] for name, row in places.items()}
    pointed = {name: row["pointing in frames"] for name, row in places.items()}
    return Result(
        [
            Bar("area under deletion by relevance, of that by chance", area[OURS] / area[CHANCE], 0.5, True),
            Bar("area under deletion by relevance, of that by rollout", area[OURS] / area[ROLLOUT], 1.0, True),
            Bar("pointing in frames by relevance, of that by chance", pointed[OURS] / pointed[CHANCE], 2.0),
            Bar("pointing in frames by relevance, of that by rollout", pointed[OURS] / pointed[ROLLOUT], 1.0),
        ],
        [
            *({"places by": name, **row} for name, row in places.items()),
            *({"frames by": name, **row} for name, row in frames.items()),
        ],
        [f"{len(sets)} sets of {each} clips"],
    )


def _one(model: XCLIP, scene: Scene, seed: int) -> tuple[Found, Found]:
    """The figures of one clip: of places by each method, and of frames."""
    frames, things = _read(scene, model.config.num_frames)
    own = all_sentences(scene, ACTIONS)
    scoring = Scoring.of(model, LabelSet.of([*own.values()]))
    text = TextFeatures(model).of_texts([*own.values()]).clone()
    video = model.prepare(frames.pixels)
    asked = Asked(video, scoring, text, [*own].index(scene.action), _touched(model, things))
    return _places(model, asked, seed), _frames(model, asked, frames, sentence(scene), seed)


def _read(scene: Scene, count: int) -> tuple[Frames, Tensor]:
    """The frames of a scene's file, and uint8 (T, 3, H, W): white where the named things are in them."""
    with TemporaryDirectory() as folder:
        frames = read_video(write_clip(scene, Path(folder) / "clip.mp4"), num_frames=count)
    moments = sparse_times(scene.format.num_frames)[frames.indices.numpy()]
    seen = silhouettes(scene, (scene.format.height, scene.format.width), moments)
    return frames, torch.from_numpy(seen).unsqueeze(1).expand(-1, 3, -1, -1).to(torch.uint8) * 255


def _touched(model: XCLIP, things: Tensor) -> Tensor:
    shares = replace(model.preprocess, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))(things)[0, :, 0]  # (T, S, S)
    patch = model.config.vision.patch_size
    return torch.nn.functional.max_pool2d(shares, patch).flatten(1) >= 0.5


def _places(model: XCLIP, asked: Asked, seed: int) -> Found:
    odds = look(model, asked.video, asked.text, lambda logits: asked.scoring.log_odds(logits, asked.place))
    logit = look(model, asked.video, asked.text, lambda logits: logits[asked.place])
    methods = {
        OURS: carried(model, logit.relevant, asked.place)[0],
        ODDS: carried(model, odds.relevant, asked.place)[0],
        ROLLOUT: carried(model, replace(odds.attention, labels=[]), asked.place, residual=0.5)[0],
        GRADIENT: _at_pixels(model, asked, logit),
        CHANCE: torch.rand(asked.touched.shape, generator=torch.Generator().manual_seed(seed)),
    }
    return {name: _figures(model, asked, relevance) for name, relevance in methods.items()}


def _at_pixels(model: XCLIP, asked: Asked, found: Pass) -> Tensor:
    products = (found.gradient * asked.video[0]).sum(dim=1, keepdim=True)
    patch = model.config.vision.patch_size
    return torch.nn.functional.avg_pool2d(products, patch).flatten(1).abs()


def _figures(model: XCLIP, asked: Asked, relevance: Tensor) -> dict[str, float]:
    order = relevance.flatten().argsort(descending=True)
    patch, side = model.config.vision.patch_size, model.config.vision.grid
    mean_color = asked.video.mean(dim=(-1, -2), keepdim=True)
    clips: list[Tensor] = []
    for share in GONE:
        gone = torch.zeros(len(order), dtype=torch.bool)
        gone[order[: round(share * len(order))]] = True
        mask = gone.view(-1, side, side).repeat_interleave(patch, 1).repeat_interleave(patch, 2)
        clips.append(torch.where(mask[None, :, None], mean_color, asked.video))
    scores = _scores(model, asked, torch.cat(clips))
    touched, seen = asked.touched, asked.touched.any(dim=1)
    best = touched[torch.arange(len(touched)), relevance.argmax(dim=1)]
    return {
        "area": float(np.trapezoid(scores, [*map(float, GONE)])),
        **{f"at {share}": float(score) for share, score in zip(GONE, scores, strict=True)},
        "pointing": float(touched.flatten()[order[0]]),
        "pointing in frames": float(best[seen].float().mean()),
        "mass": float(relevance[touched].sum() / relevance.sum()),
    }


def _frames(model: XCLIP, asked: Asked, frames: Frames, label: str, seed: int) -> Found:
    question = Question(Inference(model, fast=False), asked.scoring, asked.text)
    logits = question.logits(question.inference.encode([frames.pixels]))[0]
    answer = question.answer(frames, logits, keep_pixels=True)
    assert isinstance(answer, Prediction)
    found = explain(answer, question, label)
    assert found.evidence is not None
    assert found.attention is not None
    methods = {
        "evidence": found.evidence,
        "relevance": found.shares,
        "attention": found.attention,
        CHANCE: torch.rand(len(frames), generator=torch.Generator().manual_seed(seed)),
    }
    return {name: {"area": _area_of_frames(model, asked, values)} for name, values in methods.items()}


def _area_of_frames(model: XCLIP, asked: Asked, values: Tensor) -> float:
    order = values.argsort(descending=True)
    count = len(order)
    clips: list[Tensor] = []
    for gone in range(count):
        kept = order[gone:].sort().values
        nearest = [int(kept[(kept - t).abs().argmin()]) for t in range(count)]
        clips.append(asked.video[:, nearest])
    return float(_scores(model, asked, torch.cat(clips)).mean())


@torch.no_grad()
def _scores(model: XCLIP, asked: Asked, clips: Tensor) -> np.ndarray:
    """The true sentence's score in each of the clips, in float64."""
    logits = model.score(model.encode_video(clips), asked.text)
    return asked.scoring(logits.double())[:, asked.place].numpy()


def _mean(clips: list[Found]) -> Found:
    return {
        name: {figure: mean(clip[name][figure] for clip in clips) for figure in figures}
        for name, figures in clips[0].items()
    }


def _over_sets(sets: list[Found]) -> Mapping[str, dict[str, Any]]:
    return {name: dict(_spread([one[name] for one in sets])) for name in sets[0]}


def _spread(rows: list[dict[str, float]]) -> Iterator[tuple[str, float]]:
    for figure in rows[0]:
        values = [row[figure] for row in rows]
        yield figure, mean(values)
        yield f"{figure} ±", stdev(values)


if __name__ == "__main__":
    run("explain", measure)
