"""`crossframe suggest`: which clips of an index a person should label next, or look at again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.shared import given_labels, model_of, open_recognizer, screen
from crossframe.files import check_not_read, check_writable
from crossframe.text.labels import check_labels, escaped

if TYPE_CHECKING:
    from crossframe.archive.finding import Asked
    from crossframe.archive.store import Key
    from crossframe.archive.suggested import Suggestion


def suggest(
    folder: Annotated[Path, Argument(help="An index that crossframe index made.", show_default=False)],
    out: Annotated[Path, Option(help="A list, .csv or .parquet; .json is Label Studio's, fiftyone.json FiftyOne's.")],
    label: Annotated[list[str] | None, Option("-l", "--label", help="A label to choose among; repeat it.")] = None,
    labels: options.Labels = None,
    labeled: Annotated[Path | None, Option(help="A list of clips that have labels already.")] = None,
    count: Annotated[int, Option(min=1, help="How many clips.")] = 20,
    by: Annotated[
        Literal["both", "margin", "diversity"], Option(metavar="<way>", help="margin: doubtful; diversity: far apart.")
    ] = "both",
    errors: Annotated[bool, Option("--errors", help="The clips of --labeled whose labels are likely wrong.")] = False,
    where: Annotated[str | None, Option(help="Only clips that fit this condition, as in search.")] = None,
    model: Annotated[str | None, Option(help="Where the model is, if no longer where it was.")] = None,
    device: options.Device = None,
    template: options.Template = None,
    clean: options.Humanize = False,
) -> None:
    """Choose the clips of an index to label next: doubtful ones, far from each other; or find wrong labels."""
    from crossframe.archive.suggested import check_form, check_free, write_suggestions

    check_form(out)
    check_writable(out.parent)
    check_not_read(out, labeled, labels)
    check_free(out)
    if errors and labeled is None:
        raise typer.BadParameter("looks at labels that there are: give a list with --labeled", param_hint="--errors")
    names = given_labels(label or [], labels, clean) if label or labels else []
    known = _known(labeled) if labeled else {}
    names = check_labels([*dict.fromkeys([*names, *known.values()])])
    if len(names) < 2:
        raise ValueError(f"{names[0]!r} alone is no choice; give another label, or a list with several by --labeled")
    from crossframe.archive.store import Store

    store = Store.open(folder)
    store.check(where)
    from crossframe.archive.finding import Finder

    run = store.run
    settings = {"num_frames": run["num_frames"], "precision": run["precision"], "template": template}
    source = model_of(folder, run["model"], model)
    finder = Finder(folder, open_recognizer(source, device, None, None, 60.0, **settings))
    asked = finder.ask(names, where)
    targets = [names.index(known[key]) if key in known else -1 for key in asked.keys]
    found = sum(target >= 0 for target in targets)
    if errors and not found:
        raise ValueError(f"not one clip of {labeled} is in {folder}; index them, or give the list of those that are")
    if len(known) > found:
        print(
            f"crossframe: {len(known) - found:,} of {len(known):,} labeled clips are not in the index", file=sys.stderr
        )
    chosen = _wrong(asked, targets, names, count) if errors else _next(asked, targets, names, count, by)
    if not chosen:
        nothing = "no label looks wrong" if errors else "no clip is left to label (--errors looks at labels)"
        print(f"crossframe: {nothing}: {len(asked.keys):,} clips, {found:,} of them labeled", file=sys.stderr)
    write_suggestions(out, chosen, names, run["weights"])
    for each in chosen:
        has = f"{each.label} -> " if each.label else ""
        line = f"{each.doubt:.3f}  {each.hit.name}  {has}{each.guess} {each.probability:.0%}"
        screen().print(escaped(line), soft_wrap=True)
    print(out, file=sys.stderr)


def _known(source: Path) -> dict[Key, str]:
    """The labels of a list, by the keys of an index."""
    from crossframe.archive.indexing import key_of
    from crossframe.data.manifest import read_manifest
    from crossframe.video.given import Video

    manifest = read_manifest(source)
    if manifest.several:
        raise ValueError(
            f"{source} has clips with several labels at once; suggest chooses among labels that exclude others"
        )
    return {key_of(Video(manifest.locate(clip), clip.start, clip.end)): clip.label for clip in manifest.clips}


def _next(asked: Asked, targets: list[int], names: list[str], count: int, by: str) -> list[Suggestion]:
    from crossframe.archive.choosing import choose, fit, learned, margins, probabilities
    from crossframe.archive.suggested import Suggestion

    has = [place for place, target in enumerate(targets) if target >= 0]
    left = [place for place, target in enumerate(targets) if target < 0]
    logits = asked.logits[left]
    if has:
        weights = fit(asked.vectors[has], [targets[place] for place in has], asked.logits[has])
        logits = learned(asked.vectors[left], logits, weights)
    scores = probabilities(logits)
    doubt = 1 - margins(scores)
    return [
        Suggestion(asked.hit(left[at]), names[int(scores[at].argmax())], float(scores[at].max()), float(doubt[at]))
        for at in choose(asked.vectors[left], scores, asked.vectors[has], count, by)
    ]


def _wrong(asked: Asked, targets: list[int], names: list[str], count: int) -> list[Suggestion]:
    from crossframe.archive.choosing import doubts, probabilities
    from crossframe.archive.suggested import Suggestion

    has = [place for place, target in enumerate(targets) if target >= 0]
    own = [targets[place] for place in has]
    doubt, logits = doubts(asked.vectors[has], own, asked.logits[has])
    scores = probabilities(logits)
    return [
        Suggestion(
            asked.hit(has[at]),
            names[int(scores[at].argmax())],
            float(scores[at].max()),
            float(doubt[at]),
            names[own[at]],
        )
        for at in doubt.argsort()[::-1][:count]
        if doubt[at] > 0  # the label itself is the best one
    ]
