"""The entries of a recipe: frozen dataclasses, which are what the parts that they configure take.

Unknown entries and values of the wrong type are refused, also where a part keeps its section to itself, such as
`video.draws.Augment`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from crossframe.model.config import Activation, Mixing
from crossframe.taught import FrameRule
from crossframe.text.labels import templates
from crossframe.video.draws import Augment
from crossframe.video.given import Limits
from crossframe.video.mixing import Mixup

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Loss = Literal["softmax", "sigmoid"]
Variant = Literal["B/32", "B/16", "L/14", "L/14@336"]
Course = Literal["smooth", "timm", "authors"]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Towers:
    """A custom image and text encoder, to be trained from scratch.

    `family`: SigLIP's have no class token but an attention pool, words that see each other in both directions, and a
    bias of the logits; `embed_dim` is then the image encoder's width.
    """

    image_size: Count
    patch_size: Count
    width: Count
    layers: Count
    heads: Count
    embed_dim: Count
    text_width: Count
    text_layers: Count
    text_heads: Count
    context_length: Count = 32
    vocab_size: Count = 1024
    activation: Activation = "silu"
    family: Literal["CLIP", "SigLIP"] = "CLIP"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Start:
    """Initial values of parameters that are not pretrained, where the paper's are too slow for small models.

    `positions`: of patches, `normal` as in CLIP or a `grid` of sines and cosines of row and column, of amplitude 0.5.
    `time_std`: of the time positions of the MIT. `logit_scale`: the factor on cosines. `prompt_std`: of the projection
    of patches for the prompts; None for one over the root of the width, so that its output has the scale of its input.
    """

    positions: Literal["normal", "grid"] = "normal"
    time_std: Positive = 0.02
    logit_scale: Positive = 14.285714285714286
    prompt_std: Positive | None = 1.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Model:
    """The model to be trained. `towers`: the size that the initial weights must have; without weights, the towers that
    are trained from scratch, by default B/16.

    `image_encoder`: a ViT that replaces that of the weights, with a new projection to the joint space.
    `learned_vectors` are put before every label; `linear_head` replaces texts by a classifier.
    `frames`, `mit_layers` and `prompt_layers` are by default those of the weights, or the paper's 8, 1 and 2 where the
    weights are of a language-image model. `message_time`: whether message tokens have a learned position in time; by
    default as in the weights.
    """

    towers: Variant | Towers | None = None
    image_encoder: str | None = None
    frames: Count | None = None
    mixing: Mixing = "cross_frame"
    message_time: bool | None = None
    mit_layers: Annotated[int, Field(ge=0)] | None = None
    prompt_layers: Annotated[int, Field(ge=0)] | None = None
    drop_path: Share = 0.0
    learned_vectors: Annotated[int, Field(ge=0)] = 0
    linear_head: bool = False
    start: Start = Start()


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StillData:
    """Single frames of Shapes, generated on the fly, with texts about them."""

    kind: Literal["stills"]
    batches_per_epoch: Count
    topics: tuple[Literal["caption", "look", "place", "size", "tilt", "spot"], ...] = ("caption",)
    nuisance: Share = 1.0
    render_size: Count | None = None  # the side of a frame, where that is not the model's picture
    seed: Annotated[int, Field(ge=0)] = 0
    test_clips: Count = 1024


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClipData:
    """Clips of Shapes, generated on the fly. `actions`: those that are shown and classified, by default all."""

    kind: Literal["clips"]
    batches_per_epoch: Count
    clips_per_object: Count = 2
    actions: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    nuisance: Share = 1.0
    render_size: Count | None = None  # the side of a frame, where that is not the model's picture
    seed: Annotated[int, Field(ge=0)] = 0
    test_clips: Count = 440


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FileData:
    """Clips in files. `source` is a manifest or a folder; `--data` sets it.

    If the clips have no splits and none is asked for, training uses all of them; if there is no `test_split`, nothing
    is tested, which "none" asks for.

    Of clips that are not divided, `hold_out`, a share of each class and whole recordings, is kept for testing.
    `shots` clips of each class are drawn for training. Both draws have the seed `draw`.

    Without `tail`, sparse sampling trains as the authors' code: it never draws the last N modulo T of N frames
    (`video.sample`). `template` is put around every label; `ensemble` is the sixteen of `crossframe.text.ENSEMBLE`:
    each batch draws one, and testing averages all. `descriptions` is a JSON file with sentences for each label, which
    replace it in the same way.

    `classes` is the number of classes, which is checked; `clips` is the approximate number of training clips, for a dry
    run without data. With `contained`, a list that names files outside its folder is refused. `limits`: what reading
    one file may take; one that takes more counts as unreadable.
    """

    kind: Literal["files"]
    source: str | None = None
    root: str | None = None
    labels: str | None = None
    train_split: str = "train"
    test_split: str = "val"
    hold_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shots: Count | None = None
    draw: Annotated[int, Field(ge=0)] = 0
    sampling: FrameRule = "sparse"
    tail: bool = True
    template: str = "{}"
    descriptions: str | None = None
    classes: Count | None = None
    clips: Count | None = None
    contained: bool = False
    limits: Limits = Limits()

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        templates(template)
        return template


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rates:
    """Learning rates: `base` for pretrained parameters, with factors for `new` modules and the `text` encoder.

    If `base` is None, it depends on the width of the image encoder (`train.optimizer.base_for`).

    `muon`: the rate for weight matrices inside blocks, which Muon then optimizes in AdamW's place, with the same
    factors. All rates decay to `final` times the base rate, those of new modules too, as in the paper.
    """

    base: Positive | None = 8e-6
    new: Positive = 10.0
    text: Positive = 1.0
    muon: Positive | None = None
    final: Share = 0.01
    weight_decay: NotNegative = 0.001
    betas: tuple[Share, Share] = (0.9, 0.98)
    eps: Positive = 1e-8


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Interpolate:
    """Interpolated training (Open-VCLIP): adds `weight` times the loss of weights moved toward the initial ones by a
    random fraction up to `up_to`. Meant to be used with `average: epochs`.

    `gradient`: in `authors`, as in their code, the gradient at the moved weights is applied to the trained ones as it
    is; in `chain` it passes through the interpolation, which multiplies it by 1 - fraction.
    """

    up_to: Share = 0.6
    weight: Positive = 0.5
    gradient: Literal["authors", "chain"] = "authors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Distill:
    """Residual distillation (FROSTER): adds `weight` times 1 - cosine between embeddings of the initial weights and
    those in training plus a small residual MLP of them.

    `form`: in `authors`, as in their code, the embeddings of each frame by the image encoder, and of each text where
    the text encoder learns; in `clip`, those of whole clips.
    """

    weight: Positive = 2.0
    form: Literal["authors", "clip"] = "authors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train:
    """The training. A step takes `accumulate` batches of `batch_size` clips, counted over all processes.

    `schedule`: the course of the learning rates (`train.schedule`). `augment` and `mix`: None for none. `learn`: which
    pretrained encoders are trained; new modules always are. `average`: the decay of averaged weights, or `epochs` for
    the mean of the weights after each epoch; they are then tested and saved instead of the last ones. `interpolate`,
    `distill`: ways to stay near the initial weights. The model is tested every `test_every` epochs and at the end, and
    saved every `save_every` steps and after each epoch.

    `precision`: `auto` is what the device is fast at (`inference.choose_precision`), chosen when a run starts.
    `loss`: the cross-entropy over texts, or SigLIP's sigmoid of each pair of clip and text, without label smoothing,
    which clips with several labels need; it learns a bias of the logits.
    `checkpoint_blocks`: activation checkpointing, for less memory and a third more time. `strategy`: whether several
    processes replicate the model (`ddp`) or shard it (`fsdp`).
    """

    epochs: Count
    warmup_epochs: NotNegative = 5.0
    batch_size: Count
    accumulate: Count = 1
    schedule: Course = "smooth"
    rates: Rates = Rates()
    learn: tuple[Literal["vision", "text"], ...] = ("vision",)
    label_smoothing: Share = 0.1
    loss: Loss = "softmax"
    clip_norm: Positive | None = None
    average: Literal["epochs"] | Share | None = None
    interpolate: Interpolate | None = None
    distill: Distill | None = None
    augment: Augment | None = None
    mix: Mixup | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] = 2
    threads: Count | None = None
    checkpoint_blocks: bool = False
    strategy: Literal["ddp", "fsdp"] = "ddp"
    test_every: Count = 1
    save_every: Count | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Test:
    """The protocol by which `crossframe evaluate` measures the trained model.

    `splits`: which clips, by default `test`, or all where nothing is divided. The probabilities of `views` in time
    times `crops` in space are averaged. `random_views`: several views in time are the random draws of the authors'
    code, here the same in every run, and not evenly shifted (`video.sample`). `labels_too`: lists of clips or files of
    labels, whose labels are candidates beside the clips' own. `candidates`: such a file or list, whose labels are the
    only candidates; clips of others are unknown. `background` words take part in the softmax and are no answer.
    `timeline`: the clips are events of longer videos, of which timelines are told, with windows of `window` seconds
    every `stride`; `multi` lets labels that compete be shown at once.
    """

    splits: tuple[str, ...] = ()
    views: Count = 1
    crops: Literal[1, 3] = 1
    random_views: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    labels_too: tuple[str, ...] = ()
    candidates: str | None = None
    background: tuple[str, ...] = ()
    timeline: bool = False
    window: Positive | None = None
    stride: Positive | None = None
    multi: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Recipe:
    """An experiment: the model, its data, its training and its test. `init`: the initial weights; `--init` sets it."""

    name: str
    init: str | None = None
    model: Model
    data: Annotated[StillData | ClipData | FileData, Field(discriminator="kind")]
    train: Train
    test: Test = Test()

    def __post_init__(self) -> None:
        if self.train.warmup_epochs >= self.train.epochs:
            raise ValueError(
                f"train.warmup_epochs is {self.train.warmup_epochs} of train.epochs {self.train.epochs}; shorten it"
            )
        if self.data.kind == "stills" and self.model.frames != 1:
            raise ValueError(f"model.frames is {self.model.frames} and the data are single frames; set it to 1")
        if self.train.interpolate is not None and (self.train.strategy == "fsdp" or self.train.checkpoint_blocks):
            raise ValueError(
                "train.interpolate needs whole weights and blocks that are computed once; leave out "
                "train.strategy=fsdp and train.checkpoint_blocks"
            )
        if self.train.strategy == "fsdp" and self.train.rates.muon is not None:
            raise ValueError("train.rates.muon needs whole matrices, which fsdp divides; set it to null")
        if self.model.linear_head and self.data.kind != "files":
            raise ValueError("model.linear_head needs labels that do not change; use it with clips in files")
        for name, section in (("augment", self.train.augment), ("mix", self.train.mix)):
            if section is not None and self.data.kind != "files":
                raise ValueError(f"train.{name} changes clips in files, and the data are drawn; set it to null")
        if self.data.kind == "files" and self.data.sampling != "sparse":
            for name, asked in (("test.random_views", self.test.random_views), ("data.tail=false", not self.data.tail)):
                if asked:
                    unknown = f"which knows no {self.data.sampling} frames"
                    raise ValueError(f"{name} draws as the authors' code, {unknown}; leave it out")
        if self.data.kind != "files" and self.test != Test(splits=self.test.splits):
            raise ValueError("test: drawn clips have one view and labels of their own; set no more than test.splits")

    @property
    def measured_where_chosen(self) -> bool:
        """True where `best` is chosen on the clips that the recipe measures on: a result must come from `last`."""
        data = self.data
        return isinstance(data, FileData) and (data.hold_out > 0 or data.test_split in self.test.splits)
