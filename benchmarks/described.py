"""What described class names give on Shapes: actions that the model has never heard of, by name and in known words.

    python -m benchmarks.described shapes

Every clip is asked which of the new actions its object shows, once in the bare name ("a red star pulsing") and once in
the mean of the sentences of `described.json` ("a red star growing and shrinking", ...), which were written before any
score was seen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from crossframe import XCLIP, load
from crossframe.evaluate.shapes import BATCH, frames_of
from crossframe.inference import label_features
from crossframe.shapes.caption import all_sentences, named
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split, draw, split_actions
from crossframe.text import read_descriptions
from crossframe.text.labels import Descriptions, wordings

DESCRIPTIONS = Path(__file__).with_name("described.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="what crossframe.load takes: a folder 'last', or 'shapes'")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0, help="which clips are drawn")
    arguments = parser.parse_args()
    model = load(arguments.weights, device="cpu")
    ways: dict[str, Descriptions | None] = {"by name": None, "described": read_descriptions(DESCRIPTIONS)}
    right, chance = dict.fromkeys(ways, 0), 0.0
    for start in range(0, arguments.clips, BATCH):
        indices = range(start, min(start + BATCH, arguments.clips))
        scenes = [draw(Split.FEW_SHOT_TEST, arguments.seed, index) for index in indices]
        with torch.inference_mode():
            features = model.encode_video(
                model.prepare([frames_of(scene, model.config.num_frames) for scene in scenes])
            )
            for i, scene in enumerate(scenes):
                labels = list(all_sentences(scene, split_actions(Split.FEW_SHOT_TEST)))
                chance += 1 / len(labels) / arguments.clips
                for way, descriptions in ways.items():
                    text = texts_of(model, scene, labels, descriptions)
                    best = int(model.score(features.clip(i), text)[0].argmax())
                    right[way] += labels[best] == scene.action
    shares = {way: count / arguments.clips for way, count in right.items()}
    print(json.dumps({**shares, "chance": chance, "clips": arguments.clips, "seed": arguments.seed}))


def texts_of(model: XCLIP, scene: Scene, labels: list[str], descriptions: Descriptions | None) -> torch.Tensor | None:
    """(K, E) of the labels said of the scene's own object."""
    thing = named(scene.target.look)
    said = wordings(labels, descriptions=descriptions)
    return label_features(model, [[f"{thing} {words}" for words in one] for one in said])


if __name__ == "__main__":
    main()
