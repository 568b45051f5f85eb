"""How well timelines tell what happens: for `timeline --truth` and `evaluate --timeline`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossframe.cli.shared import progress
from crossframe.pace import percent
from crossframe.text.labels import escaped

if TYPE_CHECKING:
    from rich.table import Table

    from crossframe.evaluate.events import EventsEvaluation
    from crossframe.evaluate.trials import Trial
    from crossframe.model.xclip import XCLIP
    from crossframe.recipes.schema import FileData, Recipe, Test
    from crossframe.recognizer import Recognizer
    from crossframe.text.labels import LabelSet
    from crossframe.timeline.timeline import Timeline


def localization_table(found: Mapping[str, Any]) -> Table:
    """The summary of a `Localization`: a row for each label, and their mean; "-" for what cannot be known."""
    from rich.table import Table

    from crossframe.evaluate.localization import AT_OVERLAPS, OVERLAPS

    names = (*AT_OVERLAPS, "points")
    table = Table(title="average precision at overlaps, and at points", title_justify="left", box=None, pad_edge=False)
    table.add_column("label")
    for name in ("events", *(f".{round(10 * overlap)}" for overlap in OVERLAPS), "points"):
        table.add_column(name, justify="right")
    rows = found["per_label"]
    for row in rows:
        table.add_row(escaped(row["label"]), f"{row['events']:.0f}", *(percent(row[name]) for name in names))
    total = sum(row["events"] for row in rows)
    table.add_row("mean", f"{total:.0f}", *(percent(found[name]) for name in names))
    return table


def check_for_events(recipe: Recipe, asked: Collection[str], *, probes: bool) -> None:
    """Raise ValueError for options that a timeline has no use for, or nothing but a timeline has."""
    if not recipe.test.timeline:
        if recipe.test.window or recipe.test.stride or recipe.test.multi:
            raise ValueError("windows, strides and several labels at once are those of timelines: add --timeline")
        return
    if probes or any(entry.startswith(("test.views", "test.crops")) for entry in asked):
        raise ValueError("a window of a timeline is seen once; leave out --views, --crops and --probe")


def tell_events(
    model: XCLIP, trial: Trial, recipe: Recipe, given: Collection[str], name: str | None
) -> EventsEvaluation:
    """The timelines of a trial's videos beside what happens in them; `name` is that of a bar, None for none.

    Labels, words and frames are those of `evaluate.trials.run_trial`; what stands for nothing is that of `timeline`.
    """
    from crossframe.evaluate.events import evaluate_events
    from crossframe.evaluate.trained import clips_for, data_as_taught
    from crossframe.recipes.schema import FileData
    from crossframe.text.labels import background_texts
    from crossframe.timeline.timeline import Timeline
    from crossframe.timeline.windows import Grid
    from crossframe.video.given import limited

    data, test, manifest = recipe.data, recipe.test, trial.manifest
    if not isinstance(data, FileData) or manifest is None:
        raise ValueError(f"recipe '{recipe.name}' draws its clips, and timelines are of files")
    data = data_as_taught(model, data, given)
    # All of them are chosen: what is told of an event that is left out would count as wrong.
    found, nothing = clips_for(model, manifest, chosen=True).manifest, background_texts(test.background)
    if set(nothing) & set(found.labels):  # what lies between events, which is none itself
        found = found.only(label for label in found.labels if label not in nothing)
    events = found.keep(clip for clip in found.clips if set(clip.labels) & set(found.labels))
    recognizer, labels, described = _asked(model, found.labels, data, test)
    grid = Grid.of(test.window, test.stride, recognizer.num_frames, model.taught)
    grid.check_whole()
    multi = test.multi or manifest.several
    shown = recognizer.question(labels).scoring.labels

    def tell(path: Path) -> Timeline:
        windows = recognizer.timeline(path, labels, window=grid.window, stride=grid.stride)
        return Timeline.of(windows, shown, multi=multi)

    with limited(data.limits), progress(shown=name is not None) as bar:
        recognizer.timeout = data.limits.seconds
        return evaluate_events(
            model,
            found,
            tell,
            made_with={
                "list": trial.data,
                "window": grid.window,
                "stride": grid.stride,
                "multi": multi,
                "num_frames": recognizer.num_frames,
                "sampling": recognizer.sampling,
                "precision": test.precision,
                "background": list(shown.background),
                "thresholds": dict(shown.thresholds),
                "template": data.template,
                "descriptions": described,
                "labels_too": list(test.labels_too),
                **({"candidates": test.candidates} if test.candidates else {}),
            },
            trained_on=clips_for(model, events, chosen=True).trained_on,
            watch=lambda videos: bar.track(videos, description=name or "videos"),
        )


def _asked(model: XCLIP, names: tuple[str, ...], data: FileData, test: Test) -> tuple[Recognizer, LabelSet, str | None]:
    """A recognizer, the labels with their words, and where their descriptions are from."""
    from crossframe.answers import with_background
    from crossframe.evaluate.trained import words_for
    from crossframe.recognizer import Recognizer
    from crossframe.text.labels import Group, LabelSet, background_texts

    words, described = words_for(model, names, data)
    said = {} if model.head is not None else dict(zip(names, map(tuple, words), strict=True))
    labels = LabelSet((Group("", names),), wordings=said, background=background_texts(test.background))
    recognizer = Recognizer(model, precision=test.precision)
    recognizer.sampling = data.sampling
    return recognizer, with_background(labels, model), described
