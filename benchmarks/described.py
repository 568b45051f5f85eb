"""What described class names give on Shapes: actions that the model has never heard of, by name and in known words.

    python -m benchmarks.described shapes

Every clip is asked which of the new actions its object shows, once in the bare name ("a red star pulsing") and once in
the mean of the sentences of `described.json` ("a red star growing and shrinking", ...), which were written before any
score was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.study import Scores, keep, options, parsed, show
from crossframe import XCLIP, load
from crossframe.evaluate.shapes import BATCH, frames_of
from crossframe.inference import label_features
from crossframe.shapes.caption import all_sentences, named
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw, split_actions
from crossframe.text import read_descriptions
from crossframe.text.labels import Descriptions, wordings

DESCRIPTIONS = Path(__file__).with_name("described.json")
COLUMNS = ("by name", "described", "chance")


def main(words: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("weights", nargs="+", help="what crossframe.load takes: folders 'last', or 'shapes'")
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3, help="sets of clips")
    arguments = parsed(parser, words)
    runs: dict[str, list[Scores]] = {}
    for weights in arguments.weights:
        model = load(weights, device="cpu")
        runs[weights] = [scores_of(model, arguments.clips, seed) for seed in range(arguments.seeds)]
    show(runs, COLUMNS)
    keep("described", {"described": runs}, arguments)


def scores_of(model: XCLIP, clips: int, seed: int) -> Scores:
    """The share of clips that are named right, each way, and by chance."""
    ways: dict[str, Descriptions | None] = {"by name": None, "described": read_descriptions(DESCRIPTIONS)}
    scores = dict.fromkeys(COLUMNS, 0.0)
    for start in range(0, clips, BATCH):
        scenes = [draw(Split.FEW_SHOT_TEST, seed, index) for index in range(start, min(start + BATCH, clips))]
        with torch.inference_mode():
            features = model.encode_video(
                model.prepare([frames_of(scene, model.config.num_frames) for scene in scenes])
            )
            for i, scene in enumerate(scenes):
                labels = list(all_sentences(scene, split_actions(Split.FEW_SHOT_TEST)))
                scores["chance"] += 1 / len(labels) / clips
                for way, descriptions in ways.items():
                    text = texts_of(model, scene, labels, descriptions)
                    best = int(model.score(features.clip(i), text)[0].argmax())
                    scores[way] += (labels[best] == scene.action) / clips
    return scores


def texts_of(model: XCLIP, scene: Scene, labels: list[str], descriptions: Descriptions | None) -> torch.Tensor | None:
    """(K, E) of the labels said of the scene's own object."""
    thing = named(scene.target.look)
    said = wordings(labels, descriptions=descriptions)
    return label_features(model, [[f"{thing} {words}" for words in one] for one in said])


if __name__ == "__main__":
    main()
