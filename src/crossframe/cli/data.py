"""`crossframe data`: lists of clips. What it does with their files is in `cli.files`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from crossframe.cli.files import ManifestFile, prepare, verify

if TYPE_CHECKING:
    from crossframe.data.importers.assemble import Imported
    from crossframe.data.manifest import Manifest

data = typer.Typer(help="Make lists of clips, check and prepare their files.", no_args_is_help=True)


Layout = Literal["kinetics400", "kinetics600", "kinetics700", "ucf101", "hmdb51", "ssv2", "folder", "csv"]
CLASSES = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700, "ucf101": 101, "hmdb51": 51, "ssv2": 174}
SPLITS = ("train", "val", "test")  # the order of the columns


def _check_form(out: Path) -> Path:
    """Find out before the work whether a list can be written under this name."""
    from crossframe.data.manifest import check_form

    check_form(out)
    return out


OutFile = Annotated[Path, Argument(help="The .csv or .parquet file to write.", callback=_check_form)]


@data.command(name="import")
def import_(
    name: Annotated[Layout, Argument(help="The data set, or 'folder' or 'csv' for clips of your own.")],
    root: Annotated[Path, Argument(help="The folder that holds the videos, at any depth; for 'csv' the .csv itself.")],
    out: OutFile,
    annotations: Annotated[Path | None, Option(help="The folder of the official lists, if not below ROOT.")] = None,
    split_number: Annotated[int, Option(min=1, max=3, help="Which official split of UCF-101 or HMDB-51.")] = 1,
    humanize: Annotated[bool, Option("--humanize", help="Write ApplyEyeMakeup as 'apply eye makeup'.")] = False,
    labels: Annotated[Path | None, Option(help="Also write all classes here, one a line.")] = None,
) -> None:
    """Write a list of clips from a data set as it is published. Says what is missing, and counts what is there."""
    from dataclasses import replace

    from crossframe.data.manifest import write_manifest
    from crossframe.writing import write_text

    imported = _import(name, root, annotations, split_number)
    manifest = imported.manifest
    if humanize:
        from crossframe.text.labels import humanize as words

        clips = tuple(replace(clip, label=words(clip.label)) for clip in manifest.clips)
        manifest = replace(manifest, clips=clips, labels=tuple(map(words, manifest.labels)))
    write_manifest(manifest, out)
    if labels is not None:
        write_text(labels, "".join(f"{label}\n" for label in manifest.labels))
    _report(name, imported)
    print("\n".join(_count_table(manifest)))
    print(out)


data.command()(verify)
data.command()(prepare)


@data.command()
def few_shot(
    manifest: ManifestFile,
    out: OutFile,
    shots: Annotated[int, Option(min=1, help="Clips of each class.")],
    seed: Annotated[int, Option(min=0, help="Another seed draws other clips.")] = 0,
    split: Annotated[str, Option(help="The split to draw from; the others stay as they are.")] = "train",
) -> None:
    """Draw a few training clips of each class. The same seed draws the same clips, and fewer of them are among more."""
    from crossframe.data.layouts import split_named
    from crossframe.data.manifest import read_manifest, write_manifest
    from crossframe.data.overlap import check_apart
    from crossframe.data.split import few_shot as draw

    everything = read_manifest(manifest)
    has_splits = any(clip.split for clip in everything.clips)
    source = read_manifest(manifest, split if has_splits else None, everything.labels)
    recordings = {clip.recording for clip in source.clips}
    if shared := check_apart(clip for clip in everything.clips if clip.recording in recordings):
        typer.echo(f"crossframe: {shared}", err=True)
    drawn = draw(source, shots, seed)
    others = [clip for clip in everything.clips if has_splits and clip.split != split_named(split)]
    chosen = everything.keep([*drawn.clips, *others])
    write_manifest(chosen, out)
    print("\n".join(_count_table(chosen)))
    print(out)


@data.command()
def new_classes(
    manifest: ManifestFile,
    out: OutFile,
    old: Annotated[Path, Option(help="The other data set: a list of clips, or a file of labels.")],
    renamed: Annotated[Path | None, Option(help="A .csv of classes, columns new and old, that are one.")] = None,
    classes: Annotated[int | None, Option(min=1, help="Draw this many of the new classes.")] = None,
    seed: Annotated[int, Option(min=0, help="Another seed draws other classes.")] = 0,
) -> None:
    """Keep the clips of classes that another data set does not have. Prints how the names were matched."""
    from crossframe.data.layouts import read_candidates
    from crossframe.data.manifest import read_manifest, write_manifest
    from crossframe.data.split import few_classes
    from crossframe.data.zero_shot import match_classes, read_renamed
    from crossframe.data.zero_shot import new_classes as unmatched

    everything = read_manifest(manifest)
    matches = match_classes(read_candidates(old), everything.labels, read_renamed(renamed) if renamed else None)
    for match in matches:
        if match.reason != "same" and (match.old or match.alike):
            print("\t".join([match.label, match.reason, match.old or "", "; ".join(match.alike)]))
    found = unmatched(matches)
    drawn = found if classes is None else few_classes(found, classes, seed)
    write_manifest(everything.keep(clip for clip in everything.clips if clip.label in drawn), out)
    typer.echo(f"crossframe: {len(found)} of {len(matches)} classes are new, {len(drawn)} are kept", err=True)
    print(out)


@data.command()
def hold_out(
    manifest: ManifestFile,
    out: OutFile,
    fraction: Annotated[float, Option(help="How much of each class to hold out.")] = 0.2,
    seed: Annotated[int, Option(min=0, help="Another seed holds out other clips.")] = 0,
    name: Annotated[str, Option(help="What to call their split: val, which training watches, or test.")] = "val",
) -> None:
    """Divide clips that have no split into train and another; clips of one group stay on one side."""
    from dataclasses import replace

    from crossframe.data.layouts import split_named
    from crossframe.data.manifest import read_manifest, write_manifest
    from crossframe.data.split import hold_out as divide

    if split_named(name) in ("", "train"):
        raise typer.BadParameter(
            f"'{name}' does not tell them from the others; call them val or test", param_hint="--name"
        )
    everything = read_manifest(manifest)
    if splits := sorted({clip.split for clip in everything.clips} - {""}):
        raise ValueError(f"{manifest} is divided already, into {', '.join(splits)}; give a list without splits")
    train, held_out = divide(everything, fraction, seed)
    divided = everything.keep(
        [
            *(replace(clip, split="train") for clip in train.clips),
            *(replace(clip, split=name) for clip in held_out.clips),
        ]
    )
    write_manifest(divided, out)
    print("\n".join(_count_table(divided)))
    print(out)


def _import(name: Layout, root: Path, annotations: Path | None, split_number: int) -> Imported:
    from crossframe.data.importers.hmdb51 import import_hmdb51
    from crossframe.data.importers.kinetics import import_kinetics
    from crossframe.data.importers.plain import import_csv, import_folder
    from crossframe.data.importers.something import import_something
    from crossframe.data.importers.ucf101 import import_ucf101

    match name:
        case "kinetics400" | "kinetics600" | "kinetics700":
            return import_kinetics(root, annotations)
        case "ucf101":
            return import_ucf101(root, annotations, split_number)
        case "hmdb51":
            return import_hmdb51(root, annotations, split_number)
        case "ssv2":
            return import_something(root, annotations)
        case "folder":
            return import_folder(root)
        case "csv":
            return import_csv(root, annotations)


def _report(name: Layout, imported: Imported) -> None:
    """What a reader must know beside the list, on standard error."""
    from crossframe.text.listing import some

    notes = list(imported.notes)
    found, expected = len(imported.manifest.labels), CLASSES.get(name)
    if expected is not None and found != expected:
        notes.append(f"the lists name {found} classes, and {name} has {expected}")
    if imported.missing:
        listed = len(imported.manifest) + len(imported.missing)
        notes.append(f"{len(imported.missing)} of {listed} clips are missing on the disk: {some(imported.missing)}")
    for note in notes:
        typer.echo(f"crossframe: {note}", err=True)


def _count_table(manifest: Manifest) -> Iterable[str]:
    """Clips of each class and split, one class a line."""
    from collections import Counter

    counts = Counter((clip.label, clip.split) for clip in manifest.clips)
    totals = Counter(clip.split for clip in manifest.clips)
    splits = sorted(totals, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))
    width = max(len(label) for label in ["class", *manifest.labels, "total"])
    yield "  ".join([f"{'class':<{width}}", *(f"{split or 'clips':>7}" for split in splits)])
    for label in manifest.labels:
        yield "  ".join([f"{label:<{width}}", *(f"{counts[label, split]:>7}" for split in splits)])
    yield "  ".join([f"{'total':<{width}}", *(f"{totals[split]:>7}" for split in splits)])
