"""`crossframe index`: clips as rows that `crossframe search` asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from crossframe import DEFAULT_MODEL
from crossframe.cli import options
from crossframe.cli.shared import (
    NOTHING_DONE,
    alarm,
    exit_status,
    made_by,
    model_of,
    open_recognizer,
    progress_below,
    screen,
    set_file_limits,
)
from crossframe.cli.videos import given_videos, results_of
from crossframe.pace import counted, told
from crossframe.text.labels import escaped
from crossframe.video.given import Video, address_of
from crossframe.weights.sources import is_local

if TYPE_CHECKING:
    from crossframe.archive.store import Row, Store
    from crossframe.recognizer import Recognizer


def index(
    out: Annotated[Path, Option(help="The folder of the index.")],
    videos: Annotated[
        list[str] | None,
        Argument(help=f"{options.VIDEOS} Also what embed --out or annotate --out wrote.", show_default=False),
    ] = None,
    add: Annotated[bool, Option("--add", help="Add to an index that is there what it has not yet.")] = False,
    remove: Annotated[bool, Option("--remove", help="Remove these videos and folders from the index.")] = False,
    where: Annotated[str | None, Option(help="With --remove: those that fit a condition.")] = None,
    summary: Annotated[
        bool, Option("--summary", help="Keep what the whole model's score needs: search re-ranks without videos.")
    ] = False,
    model: Annotated[
        str | None, Option(help=f"A hub id, a folder, a checkpoint file, or 'shapes'; {DEFAULT_MODEL}, or the index's.")
    ] = None,
    frames: options.Frames = None,
    precision: options.Precision = "auto",
    device: options.Device = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
    cache_size: options.Cache = None,
    contained: options.Contained = False,
) -> None:
    """Keep a vector of every clip in a folder that is searched in words: it grows, and is read while it grows."""
    from crossframe.archive.store import Store, check_new

    _check_wishes(videos, where, add=add, remove=remove)
    if remove:
        _say(_removed(Store.open(out), videos or [], where), "removed", Store.open(out))
        return
    set_file_limits(memory, most_frames, cache_size)
    store = Store.open(out) if add else check_new(out)
    vectors, others = _divided(videos or [])
    found, absent = given_videos(others, contained=contained)
    if not vectors and found and len(absent) == len(set(found)):
        raise typer.Exit(NOTHING_DONE)
    recognizer = None
    if found:
        settings: dict[str, Any] = {"num_frames": frames, "precision": precision}
        if store:
            settings = {"num_frames": store.run["num_frames"], "precision": store.run["precision"]}
            summary, model = store.has_features, model_of(out, store.run["model"], model)
        model = model or DEFAULT_MODEL
        recognizer = open_recognizer(model, device, workers, batch_size, timeout, words=False, **settings)
    store = store or Store.create(out, _run_of(recognizer, model, vectors, summary=summary))
    with _growing(store, new=not add):
        added = _add_vectors(store, vectors)
        if recognizer is not None:
            added += _add_videos(store, recognizer, found, absent, made_by(str(model), recognizer))
        store.finish()
    _say(added, "added", store)
    known = store.known()
    there = sum(_is_in(known, video) for video in found)
    raise typer.Exit(exit_status(there, len(found)) if found else 0)


def _check_wishes(videos: list[str] | None, where: str | None, *, add: bool, remove: bool) -> None:
    """Raise typer.BadParameter where options leave nothing to do, or contradict each other."""
    if where is not None and not remove:
        raise typer.BadParameter("chooses what --remove takes out; give both", param_hint="--where")
    if where is not None and not where.strip():
        raise typer.BadParameter("is empty; give a condition such as \"label = 'golf'\"", param_hint="--where")
    if add and remove:
        raise typer.BadParameter("give one of them", param_hint="--add and --remove")
    if not videos and where is None:
        wish = "videos or --where" if remove else "videos, or vectors that embed or annotate wrote"
        raise typer.BadParameter(f"give {wish}", param_hint="VIDEOS")


@contextmanager
def _growing(store: Store, *, new: bool) -> Generator[None]:
    """Inside, clips are added; a new index that has none in the end would be in the way of the next try."""
    empty = False
    try:
        yield
    finally:
        if empty := new and not len(store):
            shutil.rmtree(store.folder)
    if empty:
        alarm(f"{store.folder}: there is no clip that could be added, and so no index")
        raise typer.Exit(NOTHING_DONE)


def _divided(given: list[str]) -> tuple[list[Path], list[str]]:
    """The names that have vectors already, and those of videos."""
    from crossframe.archive.indexing import is_vectors

    vectors = [name for name in given if address_of(name) is None and is_vectors(Path(name))]
    return [Path(name) for name in vectors], [name for name in given if name not in vectors]


def _run_of(recognizer: Recognizer | None, model: str | None, vectors: list[Path], *, summary: bool) -> dict[str, Any]:
    from crossframe.archive.indexing import features_size, read_run

    if recognizer is None:
        return read_run(vectors[0])
    name = os.path.abspath(str(model)) if is_local(str(model)) else str(model)
    return made_by(name, recognizer) | {
        "num_frames": recognizer.num_frames,
        "width": recognizer.model.config.embed_dim,
        "features": features_size(recognizer.model) if summary else 0,
    }


def _add_vectors(store: Store, files: list[Path]) -> int:
    from crossframe.archive.indexing import check_same, new_rows, read_run, read_vectors

    known, count = store.known() if files else set(), 0
    for file in files:
        check_same(store, read_run(file))
        count += store.add(new_rows(read_vectors(file), known))
    return count


def _add_videos(
    store: Store, recognizer: Recognizer, found: list[Video], absent: dict[Video, str], run: dict[str, Any]
) -> int:
    from crossframe.archive.indexing import check_same, rows_of

    check_same(store, {**run, "num_frames": recognizer.num_frames, "features": store.run["features"]})
    known = store.known()
    left = [video for video in dict.fromkeys(found) if not _is_in(known, video)]
    there = [video for video in left if video not in absent]
    results = results_of(left, absent, rows_of(recognizer, there))

    def rows() -> Iterator[Row]:
        with progress_below(screen(), len(left)) as bar:
            for _, result in bar.track(told(results, "videos", len(left)), len(left), description="videos"):
                if not isinstance(result, str):
                    yield result

    return store.add(rows())


def _is_in(known: set[Any], video: Video) -> bool:
    from crossframe.archive.indexing import key_of

    return key_of(video) in known


def _removed(store: Store, videos: list[str], where: str | None) -> int:
    from crossframe.archive.store import quoted

    count = store.remove(where) if where else 0
    for name in videos:
        source = quoted(address_of(name) or os.path.abspath(name))
        count += store.remove(f"source = '{source}' OR starts_with(source, '{source}/')")
    store.finish()
    return count


def _say(count: int, what: str, store: Store) -> None:
    line = f"{store.folder}: {counted(count, 'clip')} {what}, {len(store):,} in the index"
    recall = store.recall()
    if recall:
        line += f"; approximate, recall@10 {recall['recall']:.3f} of {counted(recall['queries'], 'clip')}"
    screen().print(escaped(line), soft_wrap=True)
