"""`crossframe calibrate`: scores that mean what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from crossframe.cli import options
from crossframe.cli.shared import alarm, check_new_model, choose_device, progress
from crossframe.pace import counted

if TYPE_CHECKING:
    from crossframe.data.manifest import Manifest
    from crossframe.model.xclip import XCLIP
    from crossframe.taught import Calibration
    from crossframe.text.labels import LabelSet


def calibrate(
    model: Annotated[str, Option(help="A folder of weights, which is written anew; or any model, with --out.")],
    data: Annotated[
        Path, Option(help="A list of clips that the model was not trained on, or a folder for each class.")
    ],
    split: Annotated[str | None, Option(help="Which clips: val, if not given and there is one.")] = None,
    labels: options.Labels = None,
    target_precision: Annotated[
        float, Option(min=0.5, max=0.999, help="How many of the accepted answers should be right.")
    ] = 0.95,
    template: options.Template = None,
    out: Annotated[
        Path | None, Option(help="The folder for the calibrated model: --model itself, if not given.")
    ] = None,
    workers: Annotated[int, Option(min=0, help="Processes that read videos.")] = 0,
    device: options.Device = None,
) -> None:
    """Fit a temperature and a threshold for each label on clips, and save them in the model's config.

    Every later command uses them and says so. A page shows how far scores and accuracy were apart before and after.
    """
    from crossframe.answers import Scoring
    from crossframe.data.reader import Sampling
    from crossframe.evaluate.calibration import fit, reliability, score_clips, write_calibration
    from crossframe.inference import evaluating, label_features
    from crossframe.weights import load, save
    from crossframe.weights.folder import CONFIG, kind_of

    if out is None and not ((Path(model) / CONFIG).is_file() and kind_of(Path(model)) == "crossframe"):
        raise typer.BadParameter(
            f"{model} is no folder of this package, to be written anew; name one", param_hint="--out"
        )
    if out is not None and not (out.exists() and Path(model).exists() and out.samefile(model)):
        check_new_model(out)
    network = load(model, device=None if device is None else choose_device(device))
    network.taught = replace(network.taught, calibration=None)
    manifest, chosen = _clips(network, data, split, labels)
    if out is None:
        _check_enough(model, len(manifest), data)
    scoring = Scoring.of(network, chosen)
    taught = network.taught
    words = _words(chosen, template or taught.template)
    with evaluating(network):
        text = label_features(network, [*words, *scoring.labels.background])
    with progress() as bar:
        scored = score_clips(
            network,
            manifest,
            scoring,
            text,
            Sampling(network.config.num_frames, taught.sampling),
            workers,
            lambda loader: bar.track(loader, description="clips"),
        )
    found = fit(scored, target_precision, str(data))
    network.taught = replace(taught, calibration=found, template=template or taught.template)
    folder = save(network, out or model)
    _tell(found, reliability(scored, None), reliability(scored, found))
    print(write_calibration(folder, scored, found))


def _check_enough(model: str, count: int, data: Path) -> None:
    """Raise ValueError where so few clips would spoil a model in place."""
    from crossframe.evaluate.calibration import ENOUGH

    if count < ENOUGH:
        raise ValueError(
            f"{model} is not written anew after {counted(count, 'clip')} of {data}, which say too little: give {ENOUGH}"
            " or more, or another folder with --out"
        )


def _tell(found: Calibration, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Print what was fitted, and what it changes on the same clips."""
    from crossframe.evaluate.calibration import ENOUGH

    if found.clips < ENOUGH:
        few = counted(found.clips, "clip")
        alarm(f"{few} say little about a temperature and nothing about thresholds; give {ENOUGH} or more")
    print(f"temperature {found.temperature:.3g}, fitted on {counted(found.clips, 'clip')}")
    print(f"calibration error {before['error']:.1%} before, {after['error']:.1%} after, on the same clips")
    kept = f"{after['accepted']:,} of {after['answers']:,} answers are accepted"
    print(kept + (f", {after['precision']:.1%} of them right" if after["accepted"] else ""))


def _words(chosen: LabelSet, template: str) -> list[tuple[str, ...]]:
    """The wordings of each label: its own, or the template around it."""
    from crossframe.text.labels import wordings

    bare = [label for label in chosen.labels if label not in chosen.wordings]
    words = dict(zip(bare, wordings(bare, template), strict=True)) | dict(chosen.wordings)
    return [words[label] for label in chosen.labels]


def _clips(model: XCLIP, data: Path, split: str | None, labels: Path | None) -> tuple[Manifest, LabelSet]:
    """The clips to calibrate on and the labels to choose among."""
    from crossframe.data.layouts import split_named
    from crossframe.data.manifest import no_split, read_manifest
    from crossframe.evaluate.trained import clips_for
    from crossframe.text.label_files import read_label_set
    from crossframe.text.labels import Group, LabelSet

    chosen = None if labels is None else read_label_set(labels)
    everything = read_manifest(data)
    splits = {clip.split for clip in everything.clips}
    if split is None and splits != {""}:
        if "val" not in splits and len(splits) > 1:
            raise ValueError(f"{data} has the splits {', '.join(sorted(splits - {''}))}; choose one with --split")
        split = "val" if "val" in splits else next(iter(splits))
    if split is not None and split_named(split) not in splits:
        raise no_split(data, split, splits)
    found = clips_for(model, everything if split is None else everything.of_split(split), chosen=split is not None)
    if found.trained_on:
        raise ValueError(
            f"{found.trained_on} of the {len(found.manifest)} clips of {data} are those that the model was trained on, "
            "on which it is surer than on others; calibrate on clips of their own"
        )
    if chosen is None:
        manifest = found.manifest
        chosen = LabelSet((Group("", manifest.labels, independent=manifest.several),))
    elif unknown := next((label for label in found.manifest.labels if label not in chosen.labels), None):
        raise ValueError(f"{data} has clips of {unknown!r}, which {labels} does not have; add it, or leave these out")
    return found.manifest, chosen
