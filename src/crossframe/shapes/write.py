"""Scenes written as H.264 files with a manifest, in parallel: a data set like any other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import av
import numpy as np

from crossframe.files import replacing
from crossframe.processes import cores, leave_signals_to_parent, starting_workers
from crossframe.shapes import caption, splits
from crossframe.shapes.listing import Row, take_up, write_rows
from crossframe.shapes.render import render
from crossframe.shapes.scene import Scene
from crossframe.shapes.splits import Split
from crossframe.video.media import x264_options

MANIFEST = "manifest.csv"
COLUMNS: tuple[str, ...] = ("path", "label", "split", "action", "color", "shape", "caption", "seed", "index")
CHUNK = 8  # clips handed to a process at a time


def write_clip(scene: Scene, path: str | Path) -> Path:
    """Write a scene as an .mp4 file at its own size, frame rate and quality; the same scene gives the same bytes.

    The file appears whole or not at all. Raises OSError where it cannot be written.
    """
    path, fmt = Path(path), scene.format
    frames = render(scene, (fmt.height, fmt.width), fmt.num_frames)
    with replacing(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fmt.fps, options=x264_options(fmt.quality))
        stream.width, stream.height, stream.pix_fmt = fmt.width, fmt.height, "yuv420p"
        for pixels in frames:
            image = np.ascontiguousarray(pixels.transpose(1, 2, 0))  # (H, W, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def render_dataset(
    out: str | Path,
    split: Split | str,
    videos: int,
    seed: int = 0,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write the first `videos` clips of a split and their manifest, and return the manifest's path.

    Clips go to `out/SPLIT/`, one row for each to `out/manifest.csv`, where rows of other splits stay. The same seed
    gives the same clips, labels and bytes, however many processes share the work.

    Args:
        out: a folder; it is made where it does not exist.
        split: one of `splits.Split`.
        videos: how many clips.
        seed: another seed gives other clips.
        workers: processes; one for each CPU if None.
        progress: called with the number of clips done so far.

    Raises:
        ValueError: there is no such split, `videos` is below 1, or files of somebody else are in `out`.
        OSError: the folder cannot be written.
    """
    part = splits.parse(split)
    if videos < 1:
        raise ValueError(f"{videos} videos were asked for; use 1 or more")
    out = Path(out)
    kept = take_up(out / MANIFEST, COLUMNS, part, f"{part}/[0-9]*.mp4")
    make = partial(_make, out, part, seed)
    rows: list[Row] = []
    for row in _in_parallel(make, videos, workers or cores()):
        rows.append(row)
        if progress is not None:
            progress(len(rows))
    return write_rows(out / MANIFEST, COLUMNS, [*kept, *rows])


def _make(out: Path, split: Split, seed: int, index: int) -> Row:
    """Write one clip and return its row."""
    scene = splits.draw(split, seed, index)
    path = write_clip(scene, out / split / f"{index:06d}.mp4")
    words = np.random.default_rng((seed, index))
    values = (
        path.relative_to(out).as_posix(),
        caption.sentence(scene),
        str(split),
        scene.action,
        scene.target.look.color,
        scene.target.look.shape,
        caption.clip_caption(scene, words),
        str(seed),
        str(index),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _in_parallel(make: Callable[[int], Row], videos: int, workers: int) -> Iterator[Row]:
    """Rows in order, whichever process is first."""
    if workers == 1:
        yield from map(make, range(videos))
        return
    # Fresh processes: a fork could inherit a lock that some thread of the caller holds.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, videos), context, initializer=leave_signals_to_parent) as pool:
        try:
            with starting_workers():
                rows = pool.map(make, range(videos), chunksize=min(CHUNK, -(-videos // workers)))
            yield from rows
        finally:
            pool.shutdown(cancel_futures=True)
