"""`crossframe data`: lists of clips, and their files decoded and re-encoded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.plain_help import PlainTyper
from crossframe.cli.shared import set_file_limits
from crossframe.data.importers import Layout
from crossframe.files import check_not_read
from crossframe.pace import counted
from crossframe.processes import cores
from crossframe.text.labels import escaped

if TYPE_CHECKING:
    from crossframe.data.importers.imported import Imported
    from crossframe.data.manifest import Manifest
    from crossframe.data.resumable import Outcome

data = PlainTyper(help="Make lists of clips, check and prepare their files.", no_args_is_help=True)

SPLITS = ("train", "val", "test")  # the order of the columns


def _check_form(out: Path) -> Path:
    """Find out before the work whether a list can be written under this name, over nothing but a list of ours."""
    from crossframe.data.manifest import check_form, check_ours

    check_form(out)
    check_ours(out)
    return out


ManifestFile = Annotated[Path, Argument(help="A list of clips in any form, or a folder with a folder for each class.")]
Workers = Annotated[int | None, Option(min=1, help="Processes; as many as processors if not given.")]
Timeout = Annotated[float, Option(min=1, help="Seconds for one file; a file that takes longer counts as broken.")]
OutFile = Annotated[Path, Argument(help="The .csv or .parquet file to write.", callback=_check_form)]


def data_set(name: str) -> str:
    """A name that is known; all of them are wider than a column of the help."""
    if name not in get_args(Layout):
        raise typer.BadParameter(f"'{name}' is none of {', '.join(get_args(Layout))}")
    return name


@data.command(name="import")
def import_(
    name: Annotated[
        str, Argument(parser=data_set, help=f"One of {', '.join(get_args(Layout))}: the last four are your own.")
    ],
    root: Annotated[
        Path, Argument(help="The folder that holds the videos, at any depth; or the .csv or export itself.")
    ],
    out: OutFile,
    annotations: Annotated[
        list[Path] | None, Option(help="The official lists, if not below ROOT: a folder; for 'txt' also file by file.")
    ] = None,
    split_number: Annotated[int, Option(min=1, max=3, help="Which official split of UCF-101 or HMDB-51.")] = 1,
    humanize: Annotated[bool, Option("--humanize", help="Write ApplyEyeMakeup as 'apply eye makeup'.")] = False,
    labels: Annotated[Path | None, Option(help="Also write all classes here, one a line.")] = None,
    contained: options.Contained = False,
) -> None:
    """Write a list of clips from a data set as it is published. Says what is missing, and counts what is there."""
    from dataclasses import replace

    from crossframe.data.importers import import_dataset
    from crossframe.data.manifest import check_contained
    from crossframe.files import write_text

    check_not_read(out, root, *(annotations or []))
    imported = import_dataset(cast("Layout", name), root, annotations, split_number=split_number)
    manifest = imported.manifest
    if contained:
        check_contained(manifest)
    if humanize:
        from crossframe.text.labels import humanize as words

        clips = tuple(replace(clip, label=words(clip.label)) for clip in manifest.clips)
        manifest = replace(manifest, clips=clips, labels=tuple(map(words, manifest.labels)))
    if labels is not None:
        text = "".join(f"{label}\n" for label in manifest.labels)
        if labels.exists() and labels.read_bytes() != text.encode():
            raise ValueError(f"{labels} is there already; give another path: --labels is where all classes are written")
        write_text(labels, text)
    _report(imported)
    _write(manifest, out)


@data.command()
def captions(
    name: Annotated[Literal["msrvtt", "didemo", "charades-sta"], Argument(help="The data set.")],
    root: Annotated[Path, Argument(help="The folder that holds the videos, at any depth.")],
    out: Annotated[Path, Argument(help="The .csv file to write, for crossframe retrieval.")],
    annotations: Annotated[Path | None, Option(help="The folder of the annotations, if not below ROOT.")] = None,
) -> None:
    """Write a list of clips with captions from a data set as it is published."""
    from crossframe.data.captions import import_captions
    from crossframe.text.labels import some

    videos, rows, missing = import_captions(name, root, annotations, out)
    if missing:
        print(f"crossframe: {len(missing)} videos are not there: {escaped(some(missing))}", file=sys.stderr)
    print(f"{videos:,} videos, {rows:,} captions")
    print(out)


@data.command()
def verify(
    manifest: ManifestFile,
    record: Annotated[Path | None, Option(help="Where to note what was found; beside the list if not given.")] = None,
    workers: Workers = None,
    timeout: Timeout = 300,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    labels: options.ClassNames = None,
    root: options.Root = None,
    contained: options.Contained = False,
) -> None:
    """Decode every file to its end and list what is broken, and why. Goes on where an earlier run stopped."""
    from crossframe.data.manifest import read_manifest
    from crossframe.data.verify import record_of
    from crossframe.data.verify import verify as run

    listed = read_manifest(manifest, None, labels, root, contained=contained, missing_ok=True)
    record = record or record_of(manifest)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.open("a").close()
    except OSError as error:
        raise ValueError(f"{record}: cannot be written ({error.strerror}); give --record another path") from error
    set_file_limits(memory, most_frames)
    outcomes = _watch(run(listed, record, workers=workers or cores(), timeout=timeout), _files(listed))
    broken = _print_broken(outcomes)
    files = _files(listed)
    print(f"{files} file{'s' * (files != 1)}, {broken} problem{'s' * (broken != 1)}; see {record}")
    if broken:
        raise typer.Exit(1)


@data.command()
def prepare(
    manifest: ManifestFile,
    out: Annotated[Path, Argument(help="A folder for the videos and their manifest.csv.")],
    short_side: Annotated[int, Option(min=2, help="Larger frames are scaled down to this many pixels.")] = 256,
    quality: Annotated[int, Option(min=1, max=51, help="x264's rate factor: less is better and larger.")] = 20,
    shards: Annotated[
        bool, Option("--shards", help="Also pack the files into tar archives, for the new list.")
    ] = False,
    as_is: Annotated[bool, Option("--as-is", help="With --shards: pack the files as they are.")] = False,
    workers: Workers = None,
    timeout: Timeout = 300,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    labels: options.ClassNames = None,
    root: options.Root = None,
    contained: options.Contained = False,
) -> None:
    """Re-encode every file small, as H.264 that decodes fast. Goes on where an earlier run stopped."""
    from crossframe.data.manifest import read_manifest, write_manifest
    from crossframe.data.prepare import Encoding, claim, prepared_manifest
    from crossframe.data.prepare import prepare as run
    from crossframe.data.shards import pack

    if manifest.resolve() in (out.resolve(), (out / "manifest.csv").resolve()):
        raise ValueError(f"{out} holds the list itself, which would be written over; choose another folder")
    if as_is and not shards:
        raise ValueError("--as-is leaves nothing to do; add --shards to pack the files")
    listed = read_manifest(manifest, None, labels, root, contained=contained, missing_ok=True)
    claim(out)
    if as_is:
        write_manifest(pack(listed, out), out / "manifest.csv")
        print(out / "manifest.csv")
        return
    set_file_limits(memory, most_frames)
    steps = run(listed, out, Encoding(short_side, quality), workers=workers or cores(), timeout=timeout)
    outcomes = _watch(steps, _files(listed))
    failed = {outcome.name for outcome in outcomes if outcome.problem is not None}
    prepared = prepared_manifest(listed, out, failed)
    if _print_broken(outcomes):
        print(f"{len(failed)} of {_files(listed)} files stay as they were, in the new list too")
    if shards:
        kept = {clip.path for clip, old in zip(prepared.clips, listed.clips, strict=True) if old.path in failed}
        prepared = pack(prepared, out, skip=kept)
    write_manifest(prepared, out / "manifest.csv")
    print(out / "manifest.csv")
    if failed:
        raise typer.Exit(1)


@data.command()
def few_shot(
    manifest: ManifestFile,
    out: OutFile,
    shots: Annotated[int, Option(min=1, help="Clips of each class.")],
    seed: Annotated[int, Option(min=0, help="Another seed draws other clips.")] = 0,
    split: Annotated[str, Option(help="The split to draw from; the others stay as they are.")] = "train",
    labels: options.ClassNames = None,
    root: options.Root = None,
    contained: options.Contained = False,
) -> None:
    """Draw a few training clips of each class. The same seed draws the same clips, and fewer of them are among more."""
    from crossframe.data.clip import check_apart
    from crossframe.data.layouts import split_named
    from crossframe.data.manifest import no_split, read_manifest
    from crossframe.data.places import Places
    from crossframe.data.split import few_shot as draw

    check_not_read(out, manifest, labels)
    everything = read_manifest(manifest, None, labels, root, contained=contained)
    has_splits = any(clip.split for clip in everything.clips)
    source = everything.of_split(split, everything.labels) if has_splits else everything
    if not len(source):
        raise no_split(manifest, split, {clip.split for clip in everything.clips})
    places = Places(everything.root)
    drawn_from = {name for clip in source.clips for name in (clip.recording, places.of(clip.path))}
    near = [clip for clip in everything.clips if {clip.recording, places.of(clip.path)} & drawn_from]
    if shared := check_apart(near, everything.root):
        typer.echo(f"crossframe: {escaped(shared)}", err=True)
    drawn = draw(source, shots, seed)
    others = [clip for clip in everything.clips if has_splits and clip.split != split_named(split)]
    chosen = everything.keep([*drawn.clips, *others])
    _write(chosen, out)


@data.command()
def new_classes(
    manifest: ManifestFile,
    out: OutFile,
    old: Annotated[Path, Option(help="The other data set: a list of clips, or a file of labels.")],
    renamed: Annotated[Path | None, Option(help="A .csv of classes, columns new and old, that are one.")] = None,
    classes: Annotated[int | None, Option(min=1, help="Draw this many of the new classes.")] = None,
    seed: Annotated[int, Option(min=0, help="Another seed draws other classes.")] = 0,
    labels: options.ClassNames = None,
    root: options.Root = None,
    contained: options.Contained = False,
) -> None:
    """Keep the clips of classes that another data set does not have. Prints how the names were matched."""
    from crossframe.data.layouts import read_candidates
    from crossframe.data.manifest import read_manifest, write_manifest
    from crossframe.data.split import few_classes
    from crossframe.data.zero_shot import match_classes, read_renamed
    from crossframe.data.zero_shot import new_classes as unmatched

    check_not_read(out, manifest, old, renamed, labels)
    everything = read_manifest(manifest, None, labels, root, contained=contained)
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
    labels: options.ClassNames = None,
    root: options.Root = None,
    contained: options.Contained = False,
) -> None:
    """Divide clips that have no split into train and another; clips of one group stay on one side."""
    from dataclasses import replace

    from crossframe.data.layouts import split_named
    from crossframe.data.manifest import read_manifest
    from crossframe.data.split import hold_out as divide

    check_not_read(out, manifest, labels)
    if split_named(name) in ("", "train"):
        raise typer.BadParameter(
            f"'{name}' does not tell them from the others; call them val or test", param_hint="--name"
        )
    everything = read_manifest(manifest, None, labels, root, contained=contained)
    if splits := sorted({clip.split for clip in everything.clips} - {""}):
        raise ValueError(f"{manifest} is divided already, into {', '.join(splits)}; give a list without splits")
    train, held_out = divide(everything, fraction, seed)
    divided = everything.keep(
        [
            *(replace(clip, split="train") for clip in train.clips),
            *(replace(clip, split=name) for clip in held_out.clips),
        ]
    )
    _write(divided, out)


@data.command()
def between(
    manifest: ManifestFile,
    out: OutFile,
    label: Annotated[str, Option(help="The class of what lies between events.")] = "nothing happens",
    shortest: Annotated[float, Option(min=0.1, metavar="<seconds>", help="Shorter stretches are left out.")] = 1.0,
    window: Annotated[
        float | None, Option(min=0.1, metavar="<seconds>", help="Length of a clip; as events usually have.")
    ] = None,
    root: options.Root = None,
) -> None:
    """Add clips of what lies between the events of a list, so that a model learns what nothing looks like."""
    from crossframe.data.between import with_between
    from crossframe.data.manifest import read_manifest

    check_not_read(out, manifest, root)
    found, count = with_between(read_manifest(manifest, root=root), label, shortest=shortest, longest=window)
    print(f"{counted(count, 'clip')} of {label!r} between {counted(len(found) - count, 'event')}", file=sys.stderr)
    _write(found, out)


def _report(imported: Imported) -> None:
    """Writes to standard error all that a reader must know beside the list."""
    from crossframe.text.labels import some

    notes = list(imported.notes)
    if imported.missing:
        listed = len(imported.manifest) + len(imported.missing)
        notes.append(f"{len(imported.missing)} of {listed} clips are missing on the disk: {some(imported.missing)}")
    for note in notes:
        typer.echo(f"crossframe: {escaped(note)}", err=True)


def _write(manifest: Manifest, out: Path) -> None:
    """Write a list, and say how many clips it has of what."""
    from crossframe.data.manifest import write_manifest

    write_manifest(manifest, out)
    print("\n".join(_count_table(manifest)))
    print(out)


def _count_table(manifest: Manifest) -> Iterable[str]:
    """Clips of each class and split, one class a line; one of several classes counts for each of them."""
    from collections import Counter

    counts = Counter((label, clip.split) for clip in manifest.clips for label in clip.labels)
    totals = Counter(clip.split for clip in manifest.clips)
    splits = sorted(totals, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))
    width = max(len(label) for label in ["class", *map(escaped, manifest.labels), "total"])
    yield "  ".join([f"{'class':<{width}}", *(f"{split or 'clips':>7}" for split in splits)])
    for label in manifest.labels:
        yield "  ".join([f"{escaped(label):<{width}}", *(f"{counts[label, split]:>7}" for split in splits)])
    yield "  ".join([f"{'total':<{width}}", *(f"{totals[split]:>7}" for split in splits)])


def _files(manifest: Manifest) -> int:
    return len({clip.path for clip in manifest.clips})


def _watch(outcomes: Iterable[Outcome], total: int) -> list[Outcome]:
    from crossframe.cli.shared import progress

    with progress() as bar:
        return list(bar.track(outcomes, total, description="files"))


def _print_broken(outcomes: Iterable[Outcome]) -> int:
    """List what went wrong, and count it."""
    problems = [f"{outcome.name}: {outcome.problem}" for outcome in outcomes if outcome.problem is not None]
    for problem in problems:
        print(escaped(problem))
    return len(problems)
