"""The paper's experiments, each as a recipe with the switches that make it, beside the paper's number.

This is the only list of them: `crossframe recipes` shows it, and tests resolve and train every line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Experiment:
    """A training run of the paper.

    `data`: the list of clips, as docs/data.md makes it. `result`: the paper's top-1, or top-1 / top-5, in %.
    """

    table: str
    name: str
    recipe: str
    data: str
    result: str
    init: str | None = None
    changes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that trains it."""
        init = [] if self.init is None else ["--init", self.init]
        changes = [word for change in self.changes for word in ("--set", change)]
        out = re.sub(r"[^a-z0-9]+", "-", f"{self.recipe} {self.name}".lower()).strip("-")
        words = ["crossframe", "train", self.recipe, "--data", self.data, *init, *changes, "--out", f"runs/{out}"]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Ablation:
    """A line in a table of ablations: B/16, 8 frames, one view, trained in up to three ways.

    `zero` is the accuracy on new classes, `few` that from few clips, `full` the fully supervised one. On which data
    sets the first two are is not said; the headline figures with 32 frames, 72.0 and 53.0, point to UCF-101 and to 2
    clips of each class of HMDB-51.
    """

    table: str
    name: str
    changes: tuple[str, ...] = ()
    zero: float | None = None
    few: float | None = None
    full: float | None = None

    def experiments(self) -> Iterator[Experiment]:
        """A run for each number."""
        own_frames = any(change.startswith("model.frames=") for change in self.changes)
        frames = () if own_frames else ("model.frames=8",)
        if self.full is not None:
            yield Experiment(self.table, self.name, "k400", "k400.csv", f"{self.full}", changes=self.changes)
        if self.few is not None:
            changes = (*frames, *self.changes)
            yield Experiment(self.table, self.name, "hmdb51-few-shot", "hmdb-1.csv", f"{self.few}", changes=changes)
        if self.zero is not None:
            changes = (*frames, *self.changes)
            yield Experiment(self.table, self.name, "zero-shot", "k400.csv", f"{self.zero}", changes=changes)


B32, L14, L14_336 = (f"openai/clip-vit-{name}" for name in ("base-patch32", "large-patch14", "large-patch14-336"))
FRAMES_16 = ("model.frames=16",)
SPARE = "train.checkpoint_blocks=true"  # memory
UNMIXED = "train.mix=null"  # their GPUs held one clip each
K400 = "Kinetics-400, 4 x 3 views"
K600 = "Kinetics-600, 4 x 3 views"
ZERO = "new classes: HMDB-51, UCF-101, 160 of Kinetics-600; one view"

HEADLINE: tuple[Experiment, ...] = (
    Experiment(K400, "B/32, 8 frames", "k400", "k400.csv", "80.4 / 95.0", B32),
    Experiment(K400, "B/32, 16 frames", "k400", "k400.csv", "81.1 / 95.5", B32, FRAMES_16),
    Experiment(K400, "B/16, 8 frames", "k400", "k400.csv", "83.8 / 96.7; 82.3 with one view"),
    Experiment(K400, "B/16, 16 frames", "k400", "k400.csv", "84.7 / 96.8", None, FRAMES_16),
    Experiment(K400, "L/14, 8 frames", "k400", "k400.csv", "87.1 / 97.6", L14),
    Experiment(K400, "L/14@336, 16 frames", "k400", "k400.csv", "87.7 / 97.4", L14_336, (*FRAMES_16, SPARE, UNMIXED)),
    Experiment(K600, "B/16, 8 frames", "k600", "k600.csv", "85.3 / 97.1"),
    Experiment(K600, "B/16, 16 frames", "k600", "k600.csv", "85.8 / 97.3", None, FRAMES_16),
    Experiment(K600, "L/14, 8 frames", "k600", "k600.csv", "88.3 / 97.7", L14),
    Experiment(ZERO, "B/16, 32 frames", "zero-shot", "k400.csv", "44.6, 72.0, 65.2 / 86.1"),
    *(
        Experiment(
            f"{name}, K clips of each class, one view",
            f"K = {shots}",
            recipe,
            data,
            result,
            None,
            (f"data.shots={shots}",),
        )
        for name, recipe, data, results in (
            ("HMDB-51", "hmdb51-few-shot", "hmdb-1.csv", ("53.0", "57.3", "62.8", "64.0")),
            ("UCF-101", "ucf101-few-shot", "ucf-1.csv", ("76.4", "83.4", "88.3", "91.4")),
        )
        for shots, result in zip((2, 4, 8, 16), results, strict=True)
    ),
)

NO_PROMPTS = "model.prompt_layers=0"
NO_MIT = "model.mit_layers=0"
COMPONENTS, LEARN, WORDS = "components", "what learns", "words"
ABLATIONS: tuple[Ablation, ...] = (
    Ablation("all three ideas", "8 frames", (), 70.0, 50.8),  # fully supervised, that is the headline's B/16
    Ablation(COMPONENTS, "mean of CLIP's frames", ("model.mixing=none", NO_MIT, NO_PROMPTS), full=80.0),
    Ablation(COMPONENTS, "cross-frame attention", (NO_MIT, NO_PROMPTS), full=81.2),
    Ablation(COMPONENTS, "cross-frame attention, multi-frame transformer", (NO_PROMPTS,), full=81.7),
    Ablation(LEARN, "both branches learn", ("train.learn=[vision,text]",), 72.9, 54.6, 82.4),
    Ablation(LEARN, "the text branch learns", ("train.learn=[text]",), 66.8, 53.4, 79.3),
    Ablation(LEARN, "new parts alone learn", ("train.learn=[]",), 64.2, 47.3, 79.1),
    Ablation(WORDS, "no prompts", (NO_PROMPTS,), 63.2, 49.6),
    Ablation(WORDS, "16 templates", (NO_PROMPTS, "data.template=ensemble"), 63.9, 49.6, 81.7),
    Ablation(WORDS, "16 learned vectors", (NO_PROMPTS, "model.learned_vectors=16"), 63.2, 49.9, 82.0),
    Ablation(WORDS, "a linear head", ("model.linear_head=true",), None, 32.0, 81.6),
    Ablation("sampling", "dense frames", ("data.sampling=dense",), full=77.8),
    Ablation("encoders", "one frame", ("model.frames=1", "model.mixing=none", NO_MIT), 62.5, 46.2, 69.9),
    Ablation("encoders", "joint space-time attention", ("model.mixing=joint", NO_MIT), 69.3, 41.3, 82.1),
    Ablation(
        "image pretraining",
        "ImageNet-21k",
        ("model.image_encoder=google/vit-base-patch16-224-in21k",),
        full=79.8,
    ),
)


def experiments() -> list[Experiment]:
    """Every training run of the paper, the headline results first."""
    return [*HEADLINE, *(run for ablation in ABLATIONS for run in ablation.experiments())]


def published(recipe: str, variant: str, frames: int, views: int, crops: int) -> str | None:
    """The paper's headline result, and the table it stands in, for this protocol: `views` in time times `crops`."""
    for run in HEADLINE:
        if (run.recipe, run.name) != (recipe, f"{variant}, {frames} frames"):
            continue
        whole, _, single = run.result.partition("; ")
        one = whole if "one view" in run.table else single.removesuffix(" with one view")
        result = {(4, 3): whole if "4 x 3 views" in run.table else "", (1, 1): one}.get((views, crops))
        where = run.table.removesuffix(", 4 x 3 views").removesuffix("; one view")
        return f"{result} ({where}; {run.name})" if result else None
    return None
