"""`crossframe blend`: a tuned model moved back toward the pretrained one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.shared import alarm, check_new_model

if TYPE_CHECKING:
    from crossframe.data.manifest import Manifest
    from crossframe.model.xclip import XCLIP


def blend(
    tuned: Annotated[str, Argument(help="The model after training: a folder, a file or a hub id.")],
    pretrained: Annotated[str, Argument(help="The weights that its training started from.")],
    out: Annotated[Path, Option(help="The folder for the new model.")],
    weight: Annotated[float | None, Option(help="0 is the pretrained model, 1 the tuned one.")] = None,
    choose_on: Annotated[
        list[str] | None,
        Option(help="Choose the weight on clips, a list or a folder, of classes left out of training; repeat it."),
    ] = None,
    labels: options.ClassNames = None,
    root: options.Root = None,
) -> None:
    """Average the weights of a tuned and a pretrained model (WiSE-FT); parts that only one has stay as they are."""
    if (weight is None) == (not choose_on):
        raise typer.BadParameter(
            "give one of them, a number or clips of classes left out of training", param_hint="--weight or --choose-on"
        )
    from crossframe.data.manifest import read_manifest
    from crossframe.data.seen import marks, seen
    from crossframe.files import check_not_read
    from crossframe.weights import load, save
    from crossframe.weights.blending import blend as average

    check_not_read(out, tuned, pretrained)
    check_new_model(out)
    manifests = [read_manifest(one, None, labels, root) for one in choose_on or ()]
    models = load(tuned), load(pretrained)
    for number, manifest in enumerate(manifests):  # on clips of training, 1 always wins
        trained = seen(marks(manifest), models[0].taught.clips).tolist()
        kept = [clip for clip, known in zip(manifest.clips, trained, strict=True) if not known]
        if not kept:
            count = len(manifest)
            raise ValueError(
                f"{(choose_on or ())[number]}: {tuned} was trained on {count} of its {count} clips, where 1 always "
                "wins; choose on clips that training never saw"
            )
        if any(trained):
            alarm(f"chosen on {len(kept)} of {len(manifest)} clips, without those of training")
        manifests[number] = manifest.keep(kept)
    if manifests:
        weight = _best(models, manifests)
    print(save(average(*models, weight=1.0 if weight is None else weight), out))


def _best(models: tuple[XCLIP, XCLIP], manifests: list[Manifest]) -> float:
    """The weight with the best mean accuracy, of each list of clips among its own labels."""
    from statistics import mean

    from crossframe.evaluate.evaluate import evaluate_manifest
    from crossframe.weights.blending import choose_weight

    def score(model: XCLIP) -> float:
        return mean(evaluate_manifest(model, manifest).counts.top1 for manifest in manifests)

    weight, scores = choose_weight(*models, score=score)
    for tried, share in scores.items():
        print(f"{tried:.1f}  {share:.1%}{'  <' if tried == weight else ''}")
    return weight
