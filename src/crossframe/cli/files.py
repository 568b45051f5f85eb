"""`crossframe data verify` and `crossframe data prepare`: the files of a list, decoded and re-encoded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from crossframe.cores import cores

if TYPE_CHECKING:
    from crossframe.data.manifest import Manifest
    from crossframe.data.resumable import Outcome

ManifestFile = Annotated[Path, Argument(help="A .csv or .parquet file, or a folder with a folder for each class.")]
Workers = Annotated[int | None, Option(min=1, help="Processes; as many as processors if not given.")]
Timeout = Annotated[float, Option(min=1, help="Seconds for one file; a file that takes longer counts as broken.")]


def verify(
    manifest: ManifestFile,
    record: Annotated[Path | None, Option(help="Where to note what was found; beside the list if not given.")] = None,
    workers: Workers = None,
    timeout: Timeout = 300,
) -> None:
    """Decode every file to its end and list what is broken, and why. Goes on where an earlier run stopped."""
    from crossframe.data.verify import record_of
    from crossframe.data.verify import verify as run

    listed = _read_unchecked(manifest)
    record = record or record_of(manifest)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.open("a").close()
    except OSError as error:
        raise ValueError(f"{record}: cannot be written ({error.strerror}); give --record another path") from error
    outcomes = _watch(run(listed, record, workers=workers or cores(), timeout=timeout), _files(listed))
    broken = _print_broken(outcomes)
    files = _files(listed)
    print(f"{files} file{'s' * (files != 1)}, {broken} problem{'s' * (broken != 1)}; see {record}")
    if broken:
        raise typer.Exit(1)


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
) -> None:
    """Re-encode every file small, as H.264 that decodes fast. Goes on where an earlier run stopped."""
    from crossframe.data.manifest import write_manifest
    from crossframe.data.prepare import Encoding, prepared_manifest
    from crossframe.data.prepare import prepare as run
    from crossframe.data.shards import pack

    if manifest.resolve() in (out.resolve(), (out / "manifest.csv").resolve()):
        raise ValueError(f"{out} holds the list itself, which would be written over; choose another folder")
    listed = _read_unchecked(manifest)
    if as_is:
        if not shards:
            raise ValueError("--as-is leaves nothing to do; add --shards to pack the files")
        write_manifest(pack(listed, out), out / "manifest.csv")
        print(out / "manifest.csv")
        return
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


def _read_unchecked(source: Path) -> Manifest:
    """A manifest whose files may be missing: that is for the command to find out."""
    from crossframe.data.layouts import read_clips
    from crossframe.data.manifest import Manifest

    clips, folder = read_clips(source, None)
    return Manifest(tuple(clips), tuple(sorted({clip.label for clip in clips})), folder)


def _files(manifest: Manifest) -> int:
    return len({clip.path for clip in manifest.clips})


def _watch(outcomes: Iterable[Outcome], total: int) -> list[Outcome]:
    from crossframe.cli.progress import progress

    with progress() as bar:
        return list(bar.track(outcomes, total, description="files"))


def _print_broken(outcomes: Iterable[Outcome]) -> int:
    """List what went wrong, and count it."""
    problems = [f"{outcome.name}: {outcome.problem}" for outcome in outcomes if outcome.problem is not None]
    for problem in problems:
        print(problem)
    return len(problems)
